// A contender's side of bench invoke: it starts once, and then makes the rounds that it is told on its standard input.
//
// All contenders are programs around serve_rounds(), so that they are measured by the same code. A client of a round is
// a thread with a connection and buffers of its own.
//
//   in    CLIENTS BYTES REGISTERED WINDOW_MS CALLS    a round: until a client made CALLS calls or WINDOW_MS are over
//   out   P50 P99 RATE COUNT                          microseconds per call, calls per second of all clients, calls
//   out   ! TEXT                                      the round can't be made: why
// Before the first round it prints "ready" and what it has to say of itself.
#pragma once

#include "base/result.hpp"
#include "tests/bench/payload.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>

namespace fastrpc::bench {

/// One client in a round, used by its own thread alone.
class Caller {
public:
    virtual ~Caller() = default;
    /// What the next call sends; the payload's size.
    virtual std::span<std::byte> input() = 0;
    /// One call, all of it; the result that the module gave.
    virtual Result<std::int32_t> call() = 0;
    /// What the last call brought back.
    [[nodiscard]] virtual std::span<const std::byte> output() const = 0;
};

/// Called by the client's thread.
using OpenCaller = std::function<Result<std::unique_ptr<Caller>>(const Payload&)>;

/// Until the end of the input. Returns an exit code.
int serve_rounds(const std::string& about, const OpenCaller& open);

} // namespace fastrpc::bench
