// When those who watch are told what changed on other threads: at once after a quiet time, then once per pause for as
// long as there is news. Without news nothing wakes up.
#pragma once

#include "daemon/host/loop.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <utility>

namespace fastrpc::daemon {

class NewsPacer {
public:
    /// `tell` is called on the loop; it is true when it had something new to tell.
    NewsPacer(Loop& loop, std::chrono::milliseconds pause, std::function<bool()> tell) :
        pause_(pause), tell_(std::move(tell)), woken_(loop,
                                                      [this] {
                                                          if (!pausing_) look();
                                                      }),
        again_(loop, [this] { look(); }) {}

    /// Thread-safe; never blocks, and costs a system call only after a quiet time.
    void news() noexcept {
        if (!looking_.exchange(true)) woken_.wake();
    }

private:
    void look() {
        looking_ = false; // first: what this look misses wakes it again
        pausing_ = tell_();
        if (!pausing_) return;
        looking_ = true; // the timer looks
        again_.set(pause_);
    }

    std::chrono::milliseconds pause_;
    std::function<bool()> tell_;
    std::atomic<bool> looking_ = false;
    bool pausing_ = false; ///< the timer is set
    Loop::Waker woken_;
    Loop::Timer again_;
};

} // namespace fastrpc::daemon
