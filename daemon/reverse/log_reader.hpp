// The thread that follows a PD's log ring (USERSPACE 7.3): asks the DSP to log into memory of ours, then waits for
// lines.
//
// While it waits it is parked inside the DSP, as the listener is: it costs a call context, comes back when the PD, the
// DSP or the node goes, and else when the DSP is told to log no more.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/reverse/apps_mem.hpp"
#include "daemon/reverse/dsp_log.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

namespace fastrpc::daemon {

class LogReader {
public:
    /// Bytes of the ring, as daemons ask for (USERSPACE 7.3).
    static constexpr std::uint64_t ring_size = 0x40000;
    /// Times in a row that the DSP may wake us for nothing before we stop asking: it is broken, or wants our CPU.
    static constexpr unsigned most_idle_wakes = 1000;

    /// Starts at once, on firmware of the modern generation. The PD's listener serves, since the DSP asks `memory` for
    /// the ring first; all must outlive the thread's end. A DSP that has no such log, or gave it to another process, is
    /// no error. All signals are blocked (KERNEL 1.14).
    LogReader(Device& device, const AppsMem& memory, DspLog& log);
    /// Waits for the thread.
    ~LogReader() { join(); }
    LogReader(const LogReader&) = delete;
    LogReader& operator=(const LogReader&) = delete;

    /// Tells the DSP to log no more, which ends the thread after the lines that are there. Once; a call that may block.
    /// From any thread but the listener's.
    void stop();
    /// Waits for the thread, however long it takes.
    void join();
    /// Waits for its end until `limit`; false when it did not come, and the thread may be parked inside the DSP.
    [[nodiscard]] bool ended_by(std::chrono::steady_clock::time_point limit) const;
    [[nodiscard]] bool running() const { return !ended_by({}); }

private:
    void run();
    /// A view of the ring's memory, or why there is none. ErrorKind::not_found or invalid when the DSP lied.
    Result<SharedView> begin();
    void follow(SharedView view);
    void deinit();

    Device& device_;
    const AppsMem& memory_;
    DspLog& log_;
    std::atomic<bool> stopping_ = false; ///< stop() was called
    std::atomic<bool> told_ = false;     ///< the DSP logs no more: a call that waits for it may not come back
    std::atomic<bool> over_ = false;     ///< there is nothing left to tell it
    std::future<void> done_;
    std::thread thread_;
};

} // namespace fastrpc::daemon
