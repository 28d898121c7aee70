// How lane threads wake the deadline watchdog on the main thread: once, when the first call with a deadline begins
// after a quiet time, not once per call. An idle session wakes nobody.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

namespace fastrpc::daemon {

class WatchdogBell {
public:
    /// `ring` is called on lane threads; it must be thread-safe.
    explicit WatchdogBell(std::function<void()> ring) : ring_(std::move(ring)) {}

    /// By a lane, after it published a call with a deadline.
    void call_began() noexcept {
        if (!watching_.load(std::memory_order_seq_cst) && !watching_.exchange(true)) ring_();
    }
    /// By the watchdog, before its last look: a call that it does not see then rings again.
    void stop_watching() noexcept { watching_.store(false, std::memory_order_seq_cst); }
    void keep_watching() noexcept { watching_.store(true, std::memory_order_seq_cst); }

private:
    std::atomic<bool> watching_ = false;
    std::function<void()> ring_;
};

} // namespace fastrpc::daemon
