// A session: its socket to the host, its lanes, and the reason of its end.
//
// The host speaks unasked only to say why the session is lost. Nobody waits for that word: it is read when a call or
// a request finds a connection broken, or stands before the reply to a request.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "client/fastrpc.h"
#include "client/lane_pool.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>

namespace fastrpc::core {

/// What OpenSession answered beside the socket.
struct SessionInfo {
    std::string path; ///< D-Bus object
    std::string domain;
    std::string rule;
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t lanes = 1;
    std::uint64_t memory = 0;
    std::uint32_t buffers = 0;
    std::uint32_t deadline_ms = 0;
};

struct NewBuffer {
    std::uint32_t id = 0;
    std::uint64_t size = 0;
    UniqueFd fd; ///< of an allocation
};

class Session {
public:
    Session(UniqueFd socket, SessionInfo info);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    [[nodiscard]] const SessionInfo& info() const noexcept { return info_; }
    /// The same for C; its strings live as long as the session.
    [[nodiscard]] const fastrpc_grant& grant() const noexcept { return grant_; }
    /// This process is a child of the one that opened the session: it may only destroy it. A lock may be held here by a
    /// thread that does not exist, so ask this first.
    [[nodiscard]] bool forked() const noexcept;

    // Requests to the host; one at a time, others wait.
    Result<NewBuffer> allocate(std::uint64_t size);
    Result<NewBuffer> register_buffer(int fd, std::uint64_t size);
    Status free_buffer(std::uint32_t id);
    Result<Counters> usage();

    /// A lane for one call of this thread.
    Result<LaneUse> lane() { return pool_.take(); }
    /// Why a connection of the session broke, as far as the host tells: `seen` if it tells nothing within a second.
    Error why(Error seen);
    /// Why the session is lost, if the host says within `milliseconds` that it is.
    std::optional<Error> lost_within(int milliseconds);
    /// Ends the session, and the calls in flight.
    void close();

private:
    Result<std::unique_ptr<LaneChannel>> open_lane();
    Result<Frame> request(SessionOp op, std::span<const std::byte> payload, std::span<const int> fds,
                          std::size_t reply_size, std::size_t reply_fds);
    Result<Frame> receive();
    Result<NewBuffer> buffer_reply(Result<Frame> reply, std::uint64_t size);
    Error lose(Error reason);

    const UniqueFd socket_;
    const SessionInfo info_;
    const fastrpc_grant grant_;
    const pid_t owner_;
    std::mutex control_; ///< guards the socket's conversation and everything below
    std::uint64_t cookie_ = 0;
    bool shared_lanes_; ///< while the host offers them
    std::array<std::byte, max_control_datagram> storage_;
    LanePool pool_;
};

} // namespace fastrpc::core
