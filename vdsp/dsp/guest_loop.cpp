#include "vdsp/dsp/guest_loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <future>
#include <memory>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <system_error>
#include <systemd/sd-event.h>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

void check(int result, const char* what) {
    if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

UniqueFd made(int fd, const char* what) {
    if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
    return UniqueFd(fd);
}

void drain(int fd) {
    std::uint64_t count = 0;
    // EAGAIN: somebody drained it already, which is all that is wanted.
    (void)!::read(fd, &count, sizeof count);
}

constexpr auto later = [](const auto& a, const auto& b) { return a.when > b.when; };

} // namespace

GuestLoop::GuestLoop() :
    wake_(made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd of a DSP")),
    lines_(made(::epoll_create1(EPOLL_CLOEXEC), "epoll of a DSP")),
    timer_(made(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd of a DSP")) {
    check(sd_event_new(&event_), "the event loop of a DSP");
    try {
        const auto watch = [this](int fd, sd_event_io_handler_t handler) {
            check(sd_event_add_io(event_, nullptr, fd, EPOLLIN, handler, this), "the event loop of a DSP");
        };
        watch(wake_.get(), [](sd_event_source*, int fd, std::uint32_t, void* self) {
            drain(fd);
            static_cast<GuestLoop*>(self)->run_posted();
            return 0;
        });
        watch(timer_.get(), [](sd_event_source*, int fd, std::uint32_t, void* self) {
            drain(fd);
            static_cast<GuestLoop*>(self)->run_posted();
            return 0;
        });
        watch(lines_.get(), [](sd_event_source*, int, std::uint32_t, void* self) {
            static_cast<GuestLoop*>(self)->read_lines();
            return 0;
        });
        // Signals are for the program's own threads.
        sigset_t all, before;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { work(); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    } catch (...) {
        sd_event_unref(event_);
        throw;
    }
}

GuestLoop::~GuestLoop() {
    stop();
    sd_event_unref(event_);
}

void GuestLoop::work() {
    ::prctl(PR_SET_NAME, "vdsp-guest-os");
    ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); // nanoseconds: DSP time is given in single microseconds
    const int result = sd_event_loop(event_);
    if (result < 0) throw std::system_error(-result, std::generic_category(), "the event loop of a DSP");
}

void GuestLoop::stop() {
    if (!thread_.joinable()) return;
    post([this] { sd_event_exit(event_, 0); });
    thread_.join();
    const std::lock_guard lock(mutex_);
    posted_.clear();
    timed_.clear();
}

void GuestLoop::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
    }
    const std::uint64_t one = 1;
    // It fails only when the counter is full: then the thread is awake anyway.
    (void)!::write(wake_.get(), &one, sizeof one);
}

void GuestLoop::post_at(Clock::time_point when, Task task) {
    const std::lock_guard lock(mutex_);
    timed_.push_back({when, std::move(task)});
    std::ranges::push_heap(timed_, later);
    const auto since = std::max(timed_.front().when.time_since_epoch(), Clock::duration(1));
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
    const itimerspec at{{}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void GuestLoop::run(const Task& task) {
    const auto packaged = std::make_shared<std::packaged_task<void()>>(task);
    std::future<void> done = packaged->get_future();
    post([packaged] { (*packaged)(); });
    done.get();
}

void GuestLoop::run_posted() {
    std::unique_lock lock(mutex_);
    std::vector<Task> tasks = std::exchange(posted_, {});
    const auto now = Clock::now();
    while (!timed_.empty() && timed_.front().when <= now) {
        std::ranges::pop_heap(timed_, later);
        tasks.push_back(std::move(timed_.back().task));
        timed_.pop_back();
    }
    if (!timed_.empty()) {
        const auto since = timed_.front().when.time_since_epoch();
        const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
        const itimerspec at{{}, {ns / 1'000'000'000, ns % 1'000'000'000}};
        ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
    }
    lock.unlock();
    for (const Task& task : tasks) task();
}

void GuestLoop::learn(int fd, Readable& readable) {
    epoll_event event{};
    event.events = EPOLLONESHOT; // known, and not armed: see below
    event.data.ptr = &readable;
    if (::epoll_ctl(lines_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        throw std::system_error(errno, std::generic_category(), "watching a line of a PD");
}

void GuestLoop::arm(int fd, Readable& readable) noexcept {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.ptr = &readable;
    // It fails for a line whose PD is gone: its calls are answered by that.
    ::epoll_ctl(lines_.get(), EPOLL_CTL_MOD, fd, &event);
}

void GuestLoop::forget(int fd) noexcept {
    ::epoll_ctl(lines_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

// Tasks, which forget lines, never run within this: no event of the batch can be stale.
void GuestLoop::read_lines() {
    std::array<epoll_event, 32> events{};
    const int count = ::epoll_wait(lines_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) static_cast<Readable*>(events.at(static_cast<std::size_t>(i)).data.ptr)->readable();
}

} // namespace fastrpc::vdsp
