#include "client/events.hpp"

#include "client/session.hpp"
#include "ipc/lane.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>

namespace fastrpc::core {
namespace {

using Clock = std::chrono::steady_clock;

void set_text(fastrpc_event& event, std::string_view text) {
    event.text[text.copy(event.text, sizeof event.text - 1)] = '\0';
}

template<class T>
bool take(std::span<const std::byte> payload, T& value, fastrpc_event& event) {
    if (payload.size() < sizeof value) return false;
    std::memcpy(&value, payload.data(), sizeof value);
    const auto text = payload.subspan(sizeof value);
    set_text(event, {reinterpret_cast<const char*>(text.data()), text.size()});
    return true;
}

// poll() until `until`, for ever without one; interrupted by no signal.
int wait_readable(int fd, int timeout_ms, Clock::time_point until) {
    for (;;) {
        pollfd ready{fd, POLLIN, 0};
        int left = timeout_ms;
        if (timeout_ms > 0)
            left = static_cast<int>(
                std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count()));
        const int count = ::poll(&ready, 1, left < 0 ? -1 : left);
        if (count >= 0 || errno != EINTR) return count;
    }
}

} // namespace

Result<int> Events::fd() {
    const std::lock_guard opening(opening_);
    {
        const std::lock_guard lock(mutex_);
        if (socket_) return socket_.get();
    }
    auto fresh = session_.open_events();
    if (!fresh) return std::unexpected(std::move(fresh.error()));
    // Several threads may wait for one event; those that don't get it must not stay in recvmsg().
    if (const int flags = ::fcntl(fresh->get(), F_GETFL);
        flags < 0 || ::fcntl(fresh->get(), F_SETFL, flags | O_NONBLOCK) != 0)
        return fail_errno("making the events' socket nonblocking", errno);
    const std::lock_guard lock(mutex_);
    socket_ = std::move(*fresh);
    if (ended_) ::shutdown(socket_.get(), SHUT_RDWR);
    return socket_.get();
}

void Events::end() noexcept {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
}

// The socket has ended: so has the session, or else the host made a mistake.
Result<bool> Events::last(Error seen, fastrpc_event& event) {
    const Error why = session_.why(std::move(seen));
    if (session_.lost_reason() < 0 || told_.exchange(true)) return std::unexpected(why);
    event = {};
    event.type = FASTRPC_EVENT_LOST;
    event.reason = static_cast<std::uint32_t>(session_.lost_reason());
    set_text(event, why.text);
    return true;
}

Status Events::read(const Frame& frame, fastrpc_event& event) {
    event = {};
    PdStatusEvent status{};
    LeaveEvent leave{};
    switch (static_cast<EventOp>(frame.header.opcode)) {
    case EventOp::pd_status:
        if (!take(frame.payload, status, event) || status.status > static_cast<std::uint32_t>(PdStatus::dsp_restart))
            break;
        event.type = FASTRPC_EVENT_PD;
        event.status = status.status;
        event.generation = status.generation;
        return {};
    case EventOp::leave:
        if (!take(frame.payload, leave, event)) break;
        event.type = FASTRPC_EVENT_LEAVE;
        event.grace_ms = leave.grace_ms;
        return {};
    }
    return fail(ErrorKind::protocol, fmt::format("the host sent an event {} of {} bytes that does not exist",
                                                 frame.header.opcode, frame.payload.size()));
}

Result<bool> Events::next(int timeout_ms, fastrpc_event& event) {
    auto socket = fd();
    if (!socket) {
        if (socket.error().kind == ErrorKind::lost) return last(std::move(socket.error()), event);
        return std::unexpected(std::move(socket.error()));
    }
    const auto until = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
    std::array<std::byte, 4096> storage;
    for (;;) {
        const int count = wait_readable(*socket, timeout_ms, until);
        if (count < 0) return fail_errno("waiting for an event", errno);
        if (count == 0) return false;
        auto frame = receive_frame(*socket, storage, 0);
        if (frame) {
            auto told = read(*frame, event);
            if (told) return true;
            return std::unexpected(session_.fail_host(std::move(told.error())));
        }
        Error& why = frame.error();
        if (why.kind == ErrorKind::lost) {
            why.text = "the host ended the session's events";
            return last(std::move(why), event);
        }
        if (why.kind == ErrorKind::protocol) return std::unexpected(session_.fail_host(std::move(why)));
        if (why.os_error != EAGAIN) return std::unexpected(std::move(why));
    }
}

} // namespace fastrpc::core
