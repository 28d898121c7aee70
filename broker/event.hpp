// The event loop's sources as objects: a callback lives exactly as long as the object that holds it.
//
// A callback may destroy its own object; it must not touch it afterwards. Callbacks do not throw: what a client or host
// can cause is a Result, and a bug ends the program (hosts then describe themselves to the next one).
#pragma once

#include "base/result.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

struct sd_event;
struct sd_event_source;

namespace fastrpc::broker {

class Source {
public:
    Source() noexcept;
    Source(Source&&) noexcept;
    Source& operator=(Source&&) noexcept;
    ~Source();
    explicit operator bool() const noexcept { return state_ != nullptr; }
    void reset() noexcept;

    /// All sources have one priority, so that the busy ones and the others take turns. Calls `ready` whenever `fd` has
    /// one of the poll events, level-triggered. The fd stays the caller's.
    static Result<Source> io(sd_event* loop, int fd, std::uint32_t events, std::function<void()> ready);
    /// Calls `due` once.
    static Source timer(sd_event* loop, std::chrono::milliseconds delay, std::function<void()> due);

private:
    struct State;
    explicit Source(std::unique_ptr<State> state) noexcept;
    static int dispatch(State& state) noexcept;
    std::unique_ptr<State> state_;
};

} // namespace fastrpc::broker
