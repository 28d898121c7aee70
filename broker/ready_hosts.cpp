#include "broker/ready_hosts.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace fastrpc::broker {

Result<ReadyHosts::Connection> ReadyHosts::start(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, fmt::format("the session socket's path {} is too long", path));
    std::ranges::copy(path, address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("making a control connection", errno);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return Connection{std::move(socket)};
    const int why = errno;
    if (why == EAGAIN) return fail(ErrorKind::busy, "too many hosts are being started", why);
    return fail(ErrorKind::system,
                fmt::format("no host can be started: connecting to {}: {}; is fastrpc-session.socket active?", path,
                            errno_text(why)),
                why);
}

Result<ReadyHosts::Connection> ReadyHosts::start_privileged() {
    auto host = start(std::filesystem::path(session_socket_).replace_filename("session-privileged.sock"));
    // Nobody listens at the name that a stopped socket unit leaves behind.
    if (!host && (host.error().os_error == ENOENT || host.error().os_error == ECONNREFUSED))
        host.error().kind = ErrorKind::not_found;
    return host;
}

Result<ReadyHosts::Connection> ReadyHosts::take() {
    if (most_ > 0 && !std::exchange(refilling_, true))
        timer_ = Source::timer(loop_, refill_pause, [this] { refill(); });
    while (!waiting_.empty()) {
        Connection first{std::move(waiting_.front().socket), true};
        waiting_.pop_front();
        pollfd wanted{first.socket.get(), POLLIN, 0};
        if (::poll(&wanted, 1, 0) == 0) return first; // it is there, and has nothing to say
    }
    return start();
}

void ReadyHosts::refill() {
    refilling_ = false;
    while (waiting_.size() < most_) {
        auto host = start();
        if (!host) break; // an open that needs it says so
        const int fd = host->socket.get();
        auto end = Source::io(loop_, fd, EPOLLIN, [this, fd] { forget(fd); });
        if (!end) break;
        waiting_.push_back({std::move(host->socket), std::move(*end)});
    }
    timer_ = Source::timer(loop_, idle_limit_, [this] { waiting_.clear(); });
}

// Nothing but its end can come from a host that has no grant.
void ReadyHosts::forget(int socket) {
    log::info("a host that waited for a session ended; its own log says why");
    std::erase_if(waiting_, [socket](const Waiting& each) { return each.socket.get() == socket; });
}

} // namespace fastrpc::broker
