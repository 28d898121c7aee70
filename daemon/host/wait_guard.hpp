// Bounds waits on drivers that wait for the DSP without end (QDA, KERNEL 2.4): an init, as misc itself does after 10 s,
// and the end of a session.
#pragma once

#include "daemon/device/device.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace fastrpc::daemon {

class WaitGuard {
public:
    /// The device is of no use once `limit` has passed.
    explicit WaitGuard(Device& device, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        if (device.facts().wakes_callers) return;
        thread_ = std::thread([this, &device, limit] {
            std::unique_lock lock(mutex_);
            if (over_cv_.wait_for(lock, limit, [this] { return over_; })) return;
            while (!over_) {
                device.interrupt_waiters();
                over_cv_.wait_for(lock, std::chrono::milliseconds(1));
            }
        });
    }
    ~WaitGuard() {
        {
            const std::scoped_lock lock(mutex_);
            over_ = true;
            over_cv_.notify_all();
        }
        if (thread_.joinable()) thread_.join();
    }
    WaitGuard(const WaitGuard&) = delete;
    WaitGuard& operator=(const WaitGuard&) = delete;

private:
    std::mutex mutex_;
    std::condition_variable over_cv_;
    bool over_ = false;
    std::thread thread_;
};

} // namespace fastrpc::daemon
