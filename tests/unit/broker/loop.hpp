// An event loop that a test turns until something is true.
#pragma once

#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <systemd/sd-event.h>

namespace fastrpc::broker::test {

using namespace std::chrono_literals;

class Loop {
public:
    Loop() { ::sd_event_new(&loop_); }
    ~Loop() { ::sd_event_unref(loop_); }
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    operator sd_event*() const noexcept { return loop_; } // NOLINT: stands for the loop itself

    /// Handles events until `condition` holds; false when it does not within `limit`.
    bool until(const std::function<bool()>& condition, std::chrono::milliseconds limit = 10s) const {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) return false;
            ::sd_event_run(loop_, 20000);
        }
        return true;
    }
    /// Handles whatever is due now.
    void settle() const {
        while (::sd_event_run(loop_, 0) > 0) {
        }
    }

private:
    sd_event* loop_ = nullptr;
};

} // namespace fastrpc::broker::test
