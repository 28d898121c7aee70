// The control socket: where hosts that fastrpcd did not start itself, or not this fastrpcd, come and describe
// themselves.
//
// Only the users that hosts run as are let in (SO_PEERCRED), the first frame must be a description, and it must come
// soon. Whoever gets this wrong loses this connection and disturbs nobody.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/event.hpp"
#include "broker/host_link.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>

namespace fastrpc::broker {

/// A listening SEQPACKET socket at `path`, mode 0600. Replaces a socket that nobody listens on; ErrorKind::busy when
/// somebody does.
Result<UniqueFd> listen_on(const std::string& path);

class ControlListener {
public:
    /// Takes over the link on success; else the error is the answer that the host gets.
    using Adopt = std::function<Status(std::unique_ptr<HostLink>& link, Description about)>;
    static constexpr std::chrono::milliseconds describe_timeout{5000};
    /// Connections that have not described themselves yet; more wait in the socket's queue.
    static constexpr std::size_t max_pending = 64;

    /// `socket` listens; it becomes nonblocking.
    static Result<std::unique_ptr<ControlListener>> start(sd_event* loop, UniqueFd socket,
                                                          std::set<std::uint32_t> host_uids, Adopt adopt,
                                                          std::chrono::milliseconds timeout = describe_timeout);
    ControlListener(const ControlListener&) = delete;
    ControlListener& operator=(const ControlListener&) = delete;

    [[nodiscard]] std::size_t pending() const noexcept { return pending_.size(); }

private:
    struct Pending {
        std::unique_ptr<HostLink> link;
        Source timeout;
    };
    using Entry = std::list<Pending>::iterator;

    ControlListener(sd_event* loop, UniqueFd socket, std::set<std::uint32_t> host_uids, Adopt adopt,
                    std::chrono::milliseconds timeout);
    Status watch();
    void accept_one();
    void welcome(UniqueFd socket);
    void on_first(Entry entry, HostMessage message);
    void drop(Entry entry);

    sd_event* loop_;
    UniqueFd socket_;
    std::set<std::uint32_t> host_uids_;
    Adopt adopt_;
    std::chrono::milliseconds timeout_;
    Source acceptable_;
    Source pause_;
    std::list<Pending> pending_;
};

} // namespace fastrpc::broker
