// A lane: one socket, one thread, at most one call in flight (design 5, 7).
//
// receive -> check -> ioctl -> send, on the same thread: a hop between threads costs more than all the rest. The path
// of an accepted call takes no lock, allocates nothing and logs nothing.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/device/guarded_area.hpp"
#include "daemon/host/call_plan.hpp"
#include "daemon/host/lane_channel.hpp"
#include "daemon/host/lane_stats.hpp"
#include "daemon/host/watchdog_bell.hpp"
#include "daemon/reverse/listener.hpp"
#include "ipc/frame.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

namespace fastrpc::daemon {

/// What all lanes of a session share. Must outlive them.
struct LaneContext {
    Device& device;
    BufferTable& buffers;
    ModuleTable& modules;
    Generation generation = Generation::unknown; ///< of the firmware's fixed handles
    std::uint32_t deadline_ms = 0;               ///< of the grant, 0 = none
    WatchdogBell& bell;
    std::atomic<bool> ending = false;  ///< no new call is taken to the DSP
    std::function<void()> on_finished; ///< called by a lane thread as its last act; thread-safe
};

class Lane {
public:
    /// Starts the thread.
    /// `yields`: its thread leaves the CPUs to others' first (nice 19).
    Lane(LaneContext& context, std::unique_ptr<LaneChannel> channel, bool yields = false);
    /// Waits for the thread: finished() tells whether it will be quick.
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    /// No more requests are received; a call in flight is finished and answered. Again until finished(), as
    /// LaneChannel::close_input().
    void close_input() noexcept { channel_->close_input(); }
    [[nodiscard]] bool finished() const noexcept { return finished_.load(std::memory_order_acquire); }
    /// The client's end is closed.
    [[nodiscard]] bool hung_up() const noexcept { return channel_->hung_up(); }
    [[nodiscard]] bool yields() const noexcept { return yields_; }
    [[nodiscard]] const LaneChannel& channel() const noexcept { return *channel_; }

    [[nodiscard]] const LaneCounters& counters() const noexcept { return counters_; }
    [[nodiscard]] const LaneActivity& activity() const noexcept { return activity_; }

private:
    void run() noexcept;
    /// An error ends the lane.
    Status serve(Frame& frame);
    Status invoke(const Frame& frame);
    Status open_module(const Frame& frame);
    Status close_module(const Frame& frame);
    Status map_buffer(const Frame& frame);
    Status unmap_buffer(const Frame& frame);
    Status answer(const FrameHeader& request, const MapReply& reply);
    Status answer(const FrameHeader& request, const ModuleReply& reply, std::string_view text);
    Status refuse(const FrameHeader& request, const Error& error);

    void began(std::uint32_t module, std::uint32_t method, std::uint32_t deadline_ms) noexcept;
    /// Returns the nanoseconds that the call took.
    std::uint64_t ended(CallResult result) noexcept;

    LaneContext& context_;
    std::unique_ptr<LaneChannel> channel_;
    const bool yields_;
    GuardedArea outputs_{max_inline};
    CallPlan plan_;
    std::unique_ptr<std::byte[]> storage_;
    LaneCounters counters_;
    LaneActivity activity_;
    std::atomic<bool> finished_ = false;
    std::thread thread_;
};

} // namespace fastrpc::daemon
