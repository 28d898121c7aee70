// A session: its socket to the host, its lanes, and the reason of its end.
//
// On this socket the host speaks unasked only to say why the session is lost. Nobody waits for that word: it is read
// when a call, a request or an event finds a connection broken, or stands before the reply to a request.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "client/arena.hpp"
#include "client/events.hpp"
#include "client/fastrpc.h"
#include "client/jobs.hpp"
#include "client/lane_pool.hpp"
#include "client/service.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

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
    bool needs_sync = false; ///< the CPU's caches (buffer_needs_sync)
    UniqueFd fd;             ///< of an allocation
};

class Session {
public:
    Session(UniqueFd socket, SessionInfo info);
    ~Session();
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
    /// The socket of ipc/lane.hpp's events.
    Result<UniqueFd> open_events();
    /// Serves the interface `name` until the service or the session ends.
    Result<std::shared_ptr<Service>> serve(std::string_view name, fastrpc_handler handler, void* context);
    void forget(const std::shared_ptr<Service>& service);

    /// A lane for one call of this thread.
    Result<LaneUse> lane() { return pool_.take(); }
    /// Why a connection of the session broke, as far as the host tells: `seen` if it tells nothing within a second.
    Error why(Error seen);
    /// Why the session is lost, if the host says within `milliseconds` that it is.
    std::optional<Error> lost_within(int milliseconds);
    /// LostReason of a session that is known to be over, else -1.
    [[nodiscard]] int lost_reason() const noexcept { return reason_; }
    /// Ends the session because its host said what it must not.
    Error fail_host(Error mistake) { return lose(std::move(mistake)); }
    /// Ends the session, and the calls in flight.
    void close();
    /// After close(): waits until all jobs are complete, with their callbacks, and all handlers have returned.
    void finish();
    /// This thread is one that finish() would wait for.
    [[nodiscard]] bool on_own_thread();

    [[nodiscard]] ArenaPool& arenas() noexcept { return parts_->arenas; }
    [[nodiscard]] Jobs& jobs() noexcept { return parts_->jobs; }
    [[nodiscard]] Events& events() noexcept { return parts_->events; }

private:
    /// What has threads, or threads that wait in it. In the child of a fork those do not exist, and what they wait in
    /// must never be destroyed.
    struct Parts {
        Parts(Session& session, const SessionInfo& info) :
            arenas(session, info.memory), jobs(info.lanes > 0 ? info.lanes : 1), events(session) {}
        ArenaPool arenas;
        Jobs jobs;
        Events events;
        std::mutex mutex;
        std::vector<std::shared_ptr<Service>> services;
        bool ended = false;
    };
    void end_parts() noexcept;
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
    std::atomic<int> reason_{-1};
    std::unique_ptr<Parts> parts_;
};

} // namespace fastrpc::core
