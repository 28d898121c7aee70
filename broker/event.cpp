#include "broker/event.hpp"

#include <system_error>
#include <systemd/sd-event.h>

namespace fastrpc::broker {

struct Source::State {
    std::shared_ptr<std::function<void()>> callback;
    sd_event_source* source = nullptr;
    ~State() { ::sd_event_source_disable_unref(source); }
};

Source::Source() noexcept = default;
Source::Source(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Source::Source(Source&&) noexcept = default;
Source& Source::operator=(Source&&) noexcept = default;
Source::~Source() = default;
void Source::reset() noexcept {
    state_.reset();
}

int Source::dispatch(State& state) noexcept {
    const auto callback = state.callback; // outlives the source, which the callback may destroy
    (*callback)();
    return 0;
}

Result<Source> Source::io(sd_event* loop, int fd, std::uint32_t events, std::function<void()> ready) {
    auto state = std::make_unique<State>();
    state->callback = std::make_shared<std::function<void()>>(std::move(ready));
    const auto on_ready = [](sd_event_source*, int, std::uint32_t, void* data) {
        return dispatch(*static_cast<State*>(data));
    };
    const int done = ::sd_event_add_io(loop, &state->source, fd, events, on_ready, state.get());
    if (done < 0) return fail_errno("watching a socket", -done);
    return Source(std::move(state));
}

Source Source::timer(sd_event* loop, std::chrono::milliseconds delay, std::function<void()> due) {
    auto state = std::make_unique<State>();
    state->callback = std::make_shared<std::function<void()>>(std::move(due));
    const auto on_due = [](sd_event_source*, std::uint64_t, void* data) {
        return dispatch(*static_cast<State*>(data));
    };
    const auto usec = static_cast<std::uint64_t>(std::chrono::microseconds(delay).count());
    // What is due at once is on somebody's way; else a millisecond's latitude lets wake-ups come together.
    const std::uint64_t latitude = usec == 0 ? 1 : 1000;
    const int done =
        ::sd_event_add_time_relative(loop, &state->source, CLOCK_MONOTONIC, usec, latitude, on_due, state.get());
    if (done < 0) throw std::system_error(-done, std::generic_category(), "sd_event_add_time_relative");
    return Source(std::move(state));
}

} // namespace fastrpc::broker
