// Where session hosts come from: a connection to the session socket makes systemd start one. That takes longer than all
// else of an open, so while sessions are opened a host is kept waiting for the next.
//
// A machine that uses no DSP has none: the first is made after the first open, and when nobody has opened for a while
// they go. One that dies while it waits is replaced by the next open, never by a loop.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/event.hpp"

#include <chrono>
#include <deque>
#include <string>

namespace fastrpc::broker {

class ReadyHosts {
public:
    static constexpr std::chrono::minutes usual_idle_limit{5};
    /// Keeps `most` waiting, until nobody opened for `idle_limit`; 0: none, every open starts its own.
    ReadyHosts(sd_event* loop, std::string session_socket, std::size_t most,
               std::chrono::milliseconds idle_limit = usual_idle_limit) :
        loop_(loop),
        session_socket_(std::move(session_socket)), most_(most), idle_limit_(idle_limit) {}
    ReadyHosts(const ReadyHosts&) = delete;
    ReadyHosts& operator=(const ReadyHosts&) = delete;

    struct Connection {
        UniqueFd socket;     ///< SEQPACKET, nonblocking
        bool waited = false; ///< the host was ready: it may have died just now, and another try is fair
    };
    /// A host that waits, else one that is started now. ErrorKind::busy with EAGAIN: the socket's queue is full.
    Result<Connection> take();
    /// One that is started now.
    Result<Connection> start() { return start(session_socket_); }
    /// One of the socket beside it, session-privileged.sock, whose hosts have for their init what newer kernels want of
    /// some kinds of PDs (KERNEL 2.6). ErrorKind::not_found where this machine has no such socket.
    Result<Connection> start_privileged();

    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

    static constexpr std::chrono::milliseconds refill_pause{100}; ///< the opener's first calls go first

private:
    struct Waiting {
        UniqueFd socket;
        Source end;
    };
    static Result<Connection> start(const std::string& path);
    void refill();
    void forget(int socket);

    sd_event* loop_;
    std::string session_socket_;
    std::size_t most_;
    std::chrono::milliseconds idle_limit_;
    std::deque<Waiting> waiting_;
    Source timer_; ///< of the next refill, or of letting all go
    bool refilling_ = false;
};

} // namespace fastrpc::broker
