// The thread that runs a PD's reverse server, as the main thread sees it: comes up, ends, is waited for.
#pragma once

#include "daemon/reverse/reverse_server.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace fastrpc::daemon {

class ListenerThread {
public:
    using Clock = std::chrono::steady_clock;

    /// Starts at once. `device`, `stats`, `log`, `interfaces` and what `memory` points to must outlive it; `on_ended`
    /// is called on the thread and must be thread-safe.
    ListenerThread(Device& device, FileTree tree, ReverseStats& stats, PdMemory memory, DspLog& log,
                   InterfaceSource& interfaces, std::function<void()> on_ended);
    /// Waits for the end, however long it takes.
    ~ListenerThread();
    ListenerThread(const ListenerThread&) = delete;
    ListenerThread& operator=(const ListenerThread&) = delete;

    /// Waits until the listener serves; the DSP must not be asked to open modules before. ErrorKind::dsp, lost or
    /// timeout.
    Status wait_up(std::chrono::milliseconds limit);
    /// Waits for the end until `limit`; false when it did not come.
    bool ended_by(Clock::time_point limit);
    /// Why it ended; empty while it runs.
    [[nodiscard]] std::optional<ListenerEnd> end() const;
    [[nodiscard]] Generation generation() const noexcept { return server_.generation(); }

private:
    ReverseServer server_;
    std::function<void()> on_ended_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool up_ = false;
    std::optional<ListenerEnd> end_;
    std::thread thread_;
};

} // namespace fastrpc::daemon
