#include "daemon/device/waiters.hpp"

#include <csignal>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

int wake_signal() noexcept {
    return SIGRTMAX - 1;
}

sigset_t wake_set() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, wake_signal());
    return set;
}

pid_t this_thread() noexcept {
    thread_local const pid_t id = ::gettid();
    return id;
}

} // namespace

Waiters::Waiters() {
    struct sigaction action {};
    action.sa_handler = [](int) {}; // without SA_RESTART: the ioctl ends with EINTR
    ::sigaction(wake_signal(), &action, nullptr);
}

Waiters::Stay::Stay(Waiters& waiters) noexcept : place_(nullptr), allowed_(false) {
    const pid_t self = this_thread();
    const std::size_t first = static_cast<std::size_t>(self) % waiters.places_.size();
    for (std::size_t i = 0; i < waiters.places_.size() && place_ == nullptr; ++i) {
        std::atomic<pid_t>& thread = waiters.places_[(first + i) % waiters.places_.size()].thread;
        pid_t free = 0;
        if (thread.compare_exchange_strong(free, self)) place_ = &thread;
    }
    // Registered before it looks, as expel() forbids before it looks: one of the two sees the other.
    allowed_ = place_ != nullptr && !waiters.expelled_.load();
    if (!allowed_) return;
    const sigset_t set = wake_set();
    sigset_t before;
    ::pthread_sigmask(SIG_UNBLOCK, &set, &before);
    was_blocked_ = ::sigismember(&before, wake_signal()) == 1;
}

Waiters::Stay::~Stay() {
    if (was_blocked_) {
        const sigset_t set = wake_set();
        ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    }
    if (place_ != nullptr) place_->store(0);
}

bool Waiters::expel() noexcept {
    expelled_.store(true);
    bool empty = true;
    for (const Place& place : places_) {
        const pid_t thread = place.thread.load();
        if (thread == 0) continue;
        empty = false;
        ::syscall(SYS_tgkill, ::getpid(), thread, wake_signal());
    }
    return empty;
}

} // namespace fastrpc::daemon
