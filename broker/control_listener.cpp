#include "broker/control_listener.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace fastrpc::broker {
namespace {

// After an accept() that failed for want of fds or memory: trying again at once would only burn the processor.
constexpr std::chrono::milliseconds accept_pause{200};

} // namespace

Result<UniqueFd> listen_on(const std::string& path) {
    if (connect_seqpacket(path))
        return fail(ErrorKind::busy, fmt::format("another program listens on the control socket {}", path));
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, fmt::format("the control socket's path \"{}\" is empty or too long", path));
    std::ranges::copy(path, address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("making the control socket", errno);
    const mode_t before = ::umask(0177); // the mode holds from the start
    const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int why = errno;
    ::umask(before);
    if (bound != 0) return fail_errno(fmt::format("binding the control socket {}", path), why);
    if (::listen(socket.get(), SOMAXCONN) != 0) return fail_errno("listening on the control socket", errno);
    return socket;
}

ControlListener::ControlListener(sd_event* loop, UniqueFd socket, std::set<std::uint32_t> host_uids, Adopt adopt,
                                 std::chrono::milliseconds timeout) :
    loop_(loop),
    socket_(std::move(socket)), host_uids_(std::move(host_uids)), adopt_(std::move(adopt)), timeout_(timeout) {}

Result<std::unique_ptr<ControlListener>> ControlListener::start(sd_event* loop, UniqueFd socket,
                                                                std::set<std::uint32_t> host_uids, Adopt adopt,
                                                                std::chrono::milliseconds timeout) {
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0)
        return fail_errno("preparing the control socket", errno);
    std::unique_ptr<ControlListener> listener(
        new ControlListener(loop, std::move(socket), std::move(host_uids), std::move(adopt), timeout));
    if (Status watched = listener->watch(); !watched) return std::unexpected(watched.error());
    return listener;
}

Status ControlListener::watch() {
    auto source = Source::io(loop_, socket_.get(), EPOLLIN, [this] { accept_one(); });
    if (!source) return std::unexpected(source.error());
    acceptable_ = std::move(*source);
    return {};
}

void ControlListener::accept_one() {
    UniqueFd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) return welcome(std::move(socket));
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    log::error("accepting a host: " + errno_text(errno));
    acceptable_.reset();
    pause_ = Source::timer(loop_, accept_pause, [this] {
        if (const Status watched = watch(); !watched)
            log::error("no host can connect any more: " + watched.error().text);
    });
}

void ControlListener::welcome(UniqueFd socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || !host_uids_.contains(peer.uid)) {
        log::warning("a connection to the control socket was refused: no host runs as this user; see --host-user",
                     {{"FASTRPC_UID", std::to_string(peer.uid)}});
        return;
    }
    const Entry entry = pending_.emplace(pending_.end());
    auto link = HostLink::open(loop_, std::move(socket),
                               [this, entry](HostMessage message) { on_first(entry, std::move(message)); });
    if (!link) {
        log::error("a host cannot be served: " + link.error().text);
        return drop(entry);
    }
    entry->link = std::move(*link);
    entry->timeout = Source::timer(loop_, timeout_, [this, entry] {
        log::warning("a host connected and did not describe itself in time; its connection is closed");
        drop(entry);
    });
    if (pending_.size() >= max_pending) acceptable_.reset();
}

void ControlListener::on_first(Entry entry, HostMessage message) {
    auto* describes = std::get_if<HostDescribes>(&message);
    if (describes == nullptr) {
        const auto* gone = std::get_if<HostGone>(&message);
        if (gone != nullptr && gone->error.kind == ErrorKind::unsupported)
            log::warning("a host is not understood: " + gone->error.text +
                         "; if it speaks no other, it goes on without fastrpcd until one of both is upgraded");
        else if (gone == nullptr || gone->error.kind != ErrorKind::lost)
            log::warning("a host did not begin with its description; its connection is closed" +
                         (gone == nullptr ? std::string() : ": " + gone->error.text));
        return drop(entry);
    }
    const std::string domain(to_string(describes->about.domain));
    if (const Status adopted = adopt_(entry->link, std::move(describes->about)); !adopted) {
        log::warning("a host was turned away: " + adopted.error().text, {{"FASTRPC_DOMAIN", domain}});
        // Nothing to do when this fails: the end of the connection tells the host as well.
        if (entry->link) std::ignore = entry->link->reject(adopted.error());
    }
    drop(entry);
}

void ControlListener::drop(Entry entry) {
    pending_.erase(entry);
    if (acceptable_ || pause_) return;
    if (const Status watched = watch(); !watched) log::error("no host can connect any more: " + watched.error().text);
}

} // namespace fastrpc::broker
