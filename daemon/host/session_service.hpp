// The session socket: what a client asks of its host besides calls (lane.hpp). Runs on the loop and never blocks.
#pragma once

#include "daemon/device/heap.hpp"
#include "daemon/host/buffer_table.hpp"
#include "daemon/host/event_socket.hpp"
#include "daemon/host/foreign_files.hpp"
#include "daemon/host/lanes.hpp"
#include "daemon/host/loop.hpp"
#include "daemon/host/module_table.hpp"
#include "daemon/reverse/client_interfaces.hpp"
#include "daemon/reverse/reverse_stats.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"
#include "ipc/grant.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace fastrpc::daemon {

/// Why a session is over.
struct SessionEnd {
    ErrorKind kind = ErrorKind::lost;
    LostReason why = LostReason::unknown;
    std::string reason;       ///< for people
    bool client_gone = false; ///< nobody to tell
};

/// What a session consists of; all of it outlives the service.
struct SessionParts {
    Device& device;
    Heap& heap;
    const ReverseStats& reverse;
    Generation firmware = Generation::unknown;
    std::uint64_t generation = 0; ///< of the PD
    const Grant& grant;
    MemoryBudget& budget; ///< of the grant; the DSP may have used some
    ClientInterfaces& interfaces;
};

class SessionService {
public:
    /// `socket` is the host's end of the session socket. `on_end` is called on the loop, once, when the client ends the
    /// session or breaks its rules.
    SessionService(Loop& loop, const SessionParts& parts, UniqueFd socket, std::function<void(SessionEnd)> on_end);

    [[nodiscard]] Counters counters() const;
    [[nodiscard]] Latency latency() const { return lanes_.latency(); }
    /// What to tell the client when the listener ended without us asking.
    [[nodiscard]] SessionEnd explain(const ListenerEnd& end) const;

    /// Passes on that others wait for this session's place.
    void ask_to_leave(const LeaveMessage& message) const { events_.ask_to_leave(message); }
    /// Tells the client that its session is lost and takes no more requests; calls in flight go on.
    void close(const SessionEnd& end);
    bool lanes_finished_by(Lanes::Clock::time_point limit) { return lanes_.finished_by(limit); }

private:
    void on_input();
    /// An error ends the session.
    Status serve(Frame& frame);
    Status open_lane(const Frame& frame, bool shared);
    Status allocate_buffer(const Frame& frame);
    Status register_buffer(Frame& frame);
    Status free_buffer(const Frame& frame);
    Status usage(const Frame& frame);
    Status open_events(const Frame& frame);
    Status serve_interface(const Frame& frame);
    /// The client's end of a new socket, or why there is none.
    Status reply_socket(const Frame& frame, const Result<UniqueFd>& socket);
    Status refuse(const Frame& frame, Error error);
    Status reply_buffer(const Frame& frame, const Result<BufferTable::Added>& added, int share);
    void end(SessionEnd end);

    const ReverseStats& reverse_;
    const MemoryBudget& budget_;
    BufferTable buffers_;
    ModuleTable modules_;
    Lanes lanes_;
    ClientInterfaces& interfaces_;
    EventSocket events_;
    ForeignFiles foreign_;
    UniqueFd socket_;
    std::function<void(SessionEnd)> on_end_;
    Loop::Source input_;
    std::array<std::byte, 4096> storage_;
};

} // namespace fastrpc::daemon
