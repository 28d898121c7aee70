#include "broker/host_start.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace fastrpc::broker {
namespace {

// A full backlog cannot be polled for: connect() on a unix socket says EAGAIN and forgets about it.
constexpr std::chrono::milliseconds backlog_retry{20};

Result<UniqueFd> try_connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, fmt::format("the session socket's path {} is too long", path));
    std::ranges::copy(path, address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("making a control connection", errno);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
    const int why = errno;
    if (why == EAGAIN) return fail(ErrorKind::busy, "too many hosts are being started", why);
    return fail(ErrorKind::system,
                fmt::format("no host can be started: connecting to {}: {}; is fastrpc-session.socket active?", path,
                            errno_text(why)),
                why);
}

// What a host may not change of what it was told.
bool same_session(const StartMessage& asked, const Description& about) {
    return about.session_id == asked.session_id && about.domain == asked.domain && about.kind == asked.kind &&
           about.owner_uid == asked.owner_uid && about.grant == asked.grant;
}

} // namespace

HostStart::HostStart(sd_event* loop, HostOrder order, Events events, std::chrono::milliseconds timeout) :
    loop_(loop), order_(std::move(order)), events_(std::move(events)) {
    deadline_ = Source::timer(loop, timeout, [this, timeout] {
        fail_with({ErrorKind::timeout, ETIMEDOUT,
                   fmt::format("the host of this PD was not ready within {} s", timeout.count() / 1000)});
    });
    // The first try is made by the loop too, so that `done` never comes before the constructor's end.
    retry_ = Source::timer(loop, std::chrono::milliseconds(0), [this] { connect(); });
}

void HostStart::connect() {
    auto socket = try_connect(order_.session_socket);
    if (socket) return send(std::move(*socket));
    if (socket.error().os_error != EAGAIN) return fail_with(std::move(socket.error()));
    retry_ = Source::timer(loop_, backlog_retry, [this] { connect(); });
}

void HostStart::send(UniqueFd socket) {
    auto pair = socket_pair();
    if (!pair) return fail_with(std::move(pair.error()));
    auto link =
        HostLink::open(loop_, std::move(socket), [this](HostMessage message) { on_message(std::move(message)); });
    if (!link) return fail_with(std::move(link.error()));
    std::vector<int> fds{pair->first.get()};
    if (order_.directories)
        for (const UniqueFd& directory : *order_.directories) fds.push_back(directory.get());
    if (Status sent = (*link)->start(order_.message, fds); !sent) return fail_with(std::move(sent.error()));
    link_ = std::move(*link);
    client_ = std::move(pair->second);
    order_.directories.reset();
}

void HostStart::on_message(HostMessage message) {
    if (auto* failed = std::get_if<FailedMessage>(&message)) {
        link_.reset();
        return fail_with({failed->kind, failed->os_error, std::move(failed->text)});
    }
    if (auto* gone = std::get_if<HostGone>(&message)) {
        link_.reset();
        return fail_with({gone->error.kind == ErrorKind::protocol ? ErrorKind::protocol : ErrorKind::system,
                          gone->error.os_error,
                          "the host ended before its PD was ready: " + gone->error.text + "; its log says more"});
    }
    if (auto* bye = std::get_if<ByeMessage>(&message)) {
        link_.reset();
        return fail_with({ErrorKind::system, 0, "the host ended before its PD was ready: " + bye->reason});
    }
    if (answered_) return; // draining: only its end matters
    if (auto* ready = std::get_if<HostReady>(&message)) return on_ready(std::move(ready->about));
    if (std::holds_alternative<HostDescribes>(message))
        fail_with({ErrorKind::protocol, EPROTO, "the host described itself instead of starting its PD"});
    // A state message on the way to ready is only news.
}

void HostStart::on_ready(Description about) {
    if (!same_session(order_.message, about))
        return fail_with({ErrorKind::protocol, EPROTO, "the host is ready with something else than it was asked for"});
    StartedHost host{std::move(link_), std::move(about), std::move(client_), std::move(order_.charges)};
    answer(std::move(host));
    finish();
}

void HostStart::fail_with(Error error) {
    const std::string reason = error.text;
    answer(std::unexpected(std::move(error)));
    if (link_ == nullptr) return finish();
    drain(reason);
}

void HostStart::abandon(std::string_view reason) {
    if (std::exchange(answered_, true)) return; // over, or on its way to it
    if (link_ == nullptr) return finish();
    drain(reason);
}

void HostStart::answer(Result<StartedHost> result) {
    if (std::exchange(answered_, true)) return;
    deadline_.reset();
    events_.done(std::move(result));
}

// The session socket closes, which alone ends a host; the word only saves it the wait.
void HostStart::drain(std::string_view reason) {
    client_.reset();
    retry_.reset();
    if (!link_->terminate(LostReason::terminated, reason)) {
        link_.reset();
        return finish();
    }
    deadline_ = Source::timer(loop_, drain_timeout, [this] {
        link_.reset();
        finish();
    });
}

void HostStart::finish() {
    const auto over = std::move(events_.over); // this object may die in the call
    over();
}

} // namespace fastrpc::broker
