#include "broker/host_start.hpp"

#include <cerrno>
#include <fmt/core.h>

namespace fastrpc::broker {
namespace {

// A full backlog cannot be polled for: connect() on a unix socket says EAGAIN and forgets about it.
constexpr std::chrono::milliseconds backlog_retry{20};

// What a host may not change of what it was told.
bool same_session(const StartMessage& asked, const Description& about, std::uint16_t version) {
    return about.session_id == asked.session_id && about.domain == asked.domain && about.kind == asked.kind &&
           about.owner_uid == asked.owner_uid && about.grant == in_version(asked.grant, version);
}

// Kinds whose init newer kernels allow to CAP_SYS_ADMIN alone (KERNEL 2.6). Hosts of the others never have it.
bool may_need_privilege(PdKind kind) {
    return kind != PdKind::unsigned_user && kind != PdKind::system_unsigned;
}

Result<ReadyHosts::Connection> get_host(ReadyHosts& hosts, PdKind kind, bool anew) {
    if (may_need_privilege(kind)) {
        auto host = hosts.start_privileged();
        if (host || host.error().kind != ErrorKind::not_found) return host;
    }
    return anew ? hosts.start() : hosts.take();
}

} // namespace

HostStart::HostStart(sd_event* loop, HostOrder order, Events events, std::chrono::milliseconds timeout) :
    loop_(loop), order_(std::move(order)), events_(std::move(events)) {
    deadline_ = Source::timer(loop, timeout, [this, timeout] {
        fail_with({ErrorKind::timeout, ETIMEDOUT,
                   fmt::format("the host of this PD was not ready within {} s", timeout.count() / 1000)});
    });
    // The first try is made by the loop too, so that `done` never comes before the constructor's end.
    retry_ = Source::timer(loop, std::chrono::milliseconds(0), [this] { connect(false); });
}

void HostStart::connect(bool anew) {
    auto host = get_host(order_.hosts, order_.message.kind, anew);
    if (!host && host.error().os_error == EAGAIN) {
        retry_ = Source::timer(loop_, backlog_retry, [this, anew] { connect(anew); });
        return;
    }
    if (!host) return fail_with(std::move(host.error()));
    const Status sent = send(std::move(host->socket));
    if (!sent && !host->waited) return fail_with(sent.error());
    if (!sent) return connect(true);
    may_be_gone_ = host->waited;
}

Status HostStart::send(UniqueFd socket) {
    auto pair = socket_pair();
    if (!pair) return std::unexpected(pair.error());
    auto link =
        HostLink::open(loop_, std::move(socket), [this](HostMessage message) { on_message(std::move(message)); });
    if (!link) return std::unexpected(link.error());
    std::vector<int> fds{pair->first.get()};
    if (order_.directories)
        for (const UniqueFd& directory : *order_.directories) fds.push_back(directory.get());
    if (order_.modules)
        for (const ModuleFile& module : *order_.modules) fds.push_back(module.fd.get());
    if (Status sent = (*link)->start(order_.message, fds); !sent) return sent;
    link_ = std::move(*link);
    client_ = std::move(pair->second);
    return {};
}

void HostStart::on_message(HostMessage message) {
    if (auto* failed = std::get_if<FailedMessage>(&message)) {
        link_.reset();
        return fail_with({failed->kind, failed->os_error, std::move(failed->text)});
    }
    if (auto* gone = std::get_if<HostGone>(&message)) {
        link_.reset();
        // A reset says that it never read its order (unix(7)): nothing has happened.
        if (may_be_gone_ && !answered_ && gone->error.os_error == ECONNRESET) return connect(true);
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
    if (!same_session(order_.message, about, link_->version()))
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
