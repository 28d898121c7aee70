// A last word to the DSP, that its process or its log ends, without staking the main thread on a DSP that may be hung.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/reverse/remotectl.hpp"

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <thread>

namespace fastrpc::daemon {

class Ender {
public:
    /// Sends exit on a thread of its own. `device` must outlive the object.
    explicit Ender(Device& device) : Ender([&device] { static_cast<void>(exit_process(device)); }) {}
    /// Makes another call on a thread of its own.
    explicit Ender(std::function<void()> call) {
        std::packaged_task<void()> task(std::move(call));
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
