// Ends the process on the DSP without staking the main thread on a DSP that may be hung.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/reverse/remotectl.hpp"

#include <chrono>
#include <future>
#include <memory>
#include <thread>

namespace fastrpc::daemon {

class Ender {
public:
    /// Sends exit on a thread of its own. `device` must outlive the object.
    explicit Ender(Device& device) {
        std::packaged_task<void()> task([&device] { static_cast<void>(exit_process(device)); });
        done_ = task.get_future();
        thread_ = std::thread(std::move(task));
    }
    ~Ender() { thread_.join(); }
    Ender(const Ender&) = delete;
    Ender& operator=(const Ender&) = delete;

    void wait() const { done_.wait(); }
    bool finished_by(std::chrono::steady_clock::time_point limit) {
        return done_.wait_until(limit) == std::future_status::ready;
    }

private:
    std::future<void> done_;
    std::thread thread_;
};

} // namespace fastrpc::daemon
