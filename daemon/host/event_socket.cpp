#include "daemon/host/event_socket.hpp"

#include "ipc/frame.hpp"

#include <array>
#include <fcntl.h>
#include <poll.h>

namespace fastrpc::daemon {

PdStatus pd_status(LostReason why) noexcept {
    switch (why) {
    case LostReason::dsp_restart:
        return PdStatus::dsp_restart;
    case LostReason::pd_exception:
        return PdStatus::exception;
    case LostReason::pd_exit:
        return PdStatus::exit;
    default: // somebody on this side ended it
        return PdStatus::force_kill;
    }
}

Result<UniqueFd> EventSocket::open() {
    pollfd state{socket_.get(), 0, 0};
    if (socket_ && ::poll(&state, 1, 0) == 0)
        return fail(ErrorKind::busy, "the session has an events socket already: close it first");
    Result<std::pair<UniqueFd, UniqueFd>> pair = socket_pair();
    if (!pair) return std::unexpected(pair.error());
    ::fcntl(pair->first.get(), F_SETFL, O_RDWR | O_NONBLOCK);
    socket_ = std::move(pair->first);
    tell(PdStatus::up, "the PD runs");
    return std::move(pair->second);
}

void EventSocket::tell(PdStatus status, std::string_view why) const {
    PdStatusEvent event{static_cast<std::uint32_t>(status), 0, generation_};
    send(EventOp::pd_status, {&event, sizeof event}, why);
}

void EventSocket::ask_to_leave(const LeaveMessage& message) const {
    LeaveEvent event{message.grace_ms, 0};
    send(EventOp::leave, {&event, sizeof event}, message.text);
}

void EventSocket::send(EventOp op, iovec event, std::string_view text) const {
    if (!socket_) return;
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(op);
    const std::array pieces{event, iovec{const_cast<char*>(text.data()), text.size()}};
    // One that is gone or does not read has lost it: that is what events are.
    static_cast<void>(send_frame(socket_.get(), header, pieces));
}

} // namespace fastrpc::daemon
