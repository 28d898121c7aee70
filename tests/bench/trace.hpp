// A trace of the programs of a system: their system calls on the way of a call, as trace.c notes them.
#pragma once

#include "base/result.hpp"
#include "tests/bench/trace_events.h"
#include "tests/support/scratch.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fastrpc::bench {

using TraceEvent = bench_trace_event;

class Trace {
public:
    /// Room for so many events between two clear().
    static Result<std::unique_ptr<Trace>> make(std::size_t room);
    ~Trace();
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;

    /// What a program needs to be traced, in its environment.
    [[nodiscard]] std::map<std::string, std::string> environment() const;
    /// The same, in front of what a program has already.
    void add_to(std::map<std::string, std::string>& environment) const;
    void clear();
    /// Those since clear(), by their end; ErrorKind::quota when there were more than there is room for.
    [[nodiscard]] Result<std::vector<TraceEvent>> events() const;

private:
    explicit Trace(std::size_t room) : room_(room) {}
    std::size_t room_;
    test::Scratch scratch_;
    bench_trace_table* table_ = nullptr;
};

} // namespace fastrpc::bench
