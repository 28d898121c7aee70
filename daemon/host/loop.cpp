#include "daemon/host/loop.hpp"

#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <systemd/sd-event.h>

namespace fastrpc::daemon {
namespace {

// Only memory and fd numbers can run out here; nothing can go on without a loop.
int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(-result, std::generic_category(), what);
    return result;
}

constexpr std::uint64_t timer_accuracy_us = 1000;

} // namespace

struct Loop::Source::State {
    sd_event_source* source = nullptr;
    Handler handler;

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { sd_event_source_disable_unref(source); }

    // A copy runs, so that the handler may destroy its own source.
    static int input(sd_event_source*, int, std::uint32_t, void* self) noexcept {
        const Handler handler = static_cast<State*>(self)->handler;
        handler();
        return 0;
    }
    static int signal(sd_event_source*, const signalfd_siginfo*, void* self) noexcept {
        return input(nullptr, 0, 0, self);
    }
};

Loop::Loop() {
    checked(sd_event_new(&event_), "sd_event_new");
}
Loop::~Loop() {
    sd_event_unref(event_);
}
void Loop::run() {
    checked(sd_event_loop(event_), "sd_event_loop");
}
void Loop::stop() {
    checked(sd_event_exit(event_, 0), "sd_event_exit");
}

Loop::Source::Source(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::Source::Source() noexcept = default;
Loop::Source::~Source() = default;
Loop::Source::Source(Source&&) noexcept = default;
Loop::Source& Loop::Source::operator=(Source&&) noexcept = default;

Loop::Source Loop::on_input(int fd, Handler handler) {
    auto state = std::make_unique<Source::State>();
    state->handler = std::move(handler);
    checked(sd_event_add_io(event_, &state->source, fd, EPOLLIN, Source::State::input, state.get()), "sd_event_add_io");
    return Source(std::move(state));
}

Loop::Source Loop::on_signal(int signal, Handler handler) {
    auto state = std::make_unique<Source::State>();
    state->handler = std::move(handler);
    checked(sd_event_add_signal(event_, &state->source, signal, Source::State::signal, state.get()),
            "sd_event_add_signal");
    return Source(std::move(state));
}

Loop::Timer::Timer(Loop& loop, Handler handler) : handler_(std::move(handler)) {
    checked(sd_event_add_time(loop.event_, &source_, CLOCK_MONOTONIC, 0, timer_accuracy_us, fire, this),
            "sd_event_add_time");
    checked(sd_event_source_set_enabled(source_, SD_EVENT_OFF), "sd_event_source_set_enabled");
}
Loop::Timer::~Timer() {
    sd_event_source_disable_unref(source_);
}

void Loop::Timer::set(std::chrono::microseconds from_now) {
    checked(sd_event_source_set_time_relative(source_, static_cast<std::uint64_t>(from_now.count())),
            "sd_event_source_set_time_relative");
    checked(sd_event_source_set_enabled(source_, SD_EVENT_ONESHOT), "sd_event_source_set_enabled");
}

void Loop::Timer::cancel() {
    checked(sd_event_source_set_enabled(source_, SD_EVENT_OFF), "sd_event_source_set_enabled");
}

int Loop::Timer::fire(sd_event_source*, std::uint64_t, void* self) noexcept {
    static_cast<Timer*>(self)->handler_();
    return 0;
}

Loop::Waker::Waker(Loop& loop, Handler handler) :
    fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), handler_(std::move(handler)) {
    if (!fd_) throw std::system_error(errno, std::generic_category(), "eventfd");
    source_ = loop.on_input(fd_.get(), [this] {
        eventfd_t drained = 0;
        ::eventfd_read(fd_.get(), &drained);
        handler_();
    });
}

void Loop::Waker::wake() const noexcept {
    ::eventfd_write(fd_.get(), 1);
}

} // namespace fastrpc::daemon
