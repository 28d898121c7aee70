#include "daemon/host/session_service.hpp"

#include "ipc/lane.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>

namespace fastrpc::daemon {
namespace {

FrameHeader reply_to(const Frame& request) {
    FrameHeader header;
    header.opcode = request.header.opcode;
    header.flags = frame_reply;
    header.cookie = request.header.cookie;
    return header;
}

// The exact payload of an opcode, or the end of the session.
template<class T>
Result<T> body(const Frame& frame) {
    T value;
    if (frame.payload.size() != sizeof value)
        return fail(ErrorKind::protocol,
                    fmt::format("opcode {} with {} bytes of payload", frame.header.opcode, frame.payload.size()));
    std::memcpy(&value, frame.payload.data(), sizeof value);
    return value;
}

Status no_body(const Frame& frame) {
    if (frame.payload.empty()) return {};
    return fail(ErrorKind::protocol,
                fmt::format("opcode {} with {} bytes of payload", frame.header.opcode, frame.payload.size()));
}

Status check_reserved(const BufferRequest& request) {
    if (request.flags == 0 && request.reserved == 0) return {};
    return fail(ErrorKind::unsupported, "buffers have no flags in this version");
}

} // namespace

SessionService::SessionService(Loop& loop, const SessionParts& parts, UniqueFd socket,
                               std::function<void(SessionEnd)> on_end) :
    reverse_(parts.reverse),
    budget_(parts.budget), buffers_(parts.heap, parts.device, parts.grant.limits.buffers, parts.budget),
    modules_(GrantedModules(parts.grant)),
    lanes_(loop, parts.device, buffers_, modules_, parts.firmware, parts.grant.limits,
           [this](std::string reason) {
               this->end({ErrorKind::timeout, LostReason::timeout, std::move(reason), false});
           }),
    interfaces_(parts.interfaces), events_(parts.generation), socket_(std::move(socket)), on_end_(std::move(on_end)) {
    // A client that does not read must not stop the loop.
    ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
    input_ = loop.on_input(socket_.get(), [this] { on_input(); });
}

Counters SessionService::counters() const {
    Counters counters;
    lanes_.count(counters);
    counters.reverse_calls = reverse_.reverse_calls.load(std::memory_order_relaxed);
    counters.files_served = reverse_.files_served.load(std::memory_order_relaxed);
    counters.bytes_served = reverse_.bytes_served.load(std::memory_order_relaxed);
    counters.files_missing = reverse_.files.misses();
    counters.last_missing = reverse_.files.last_missed();
    counters.buffers = buffers_.count();
    counters.mapped_bytes = budget_.used();
    return counters;
}

SessionEnd SessionService::explain(const ListenerEnd& end) const {
    if (end.cause == ListenerEnd::Cause::device_gone)
        return {ErrorKind::lost, LostReason::dsp_restart, "the DSP restarted or went away: " + end.text, false};
    const std::string culprit = lanes_.culprit(end.last.result);
    if (!culprit.empty()) return {ErrorKind::lost, LostReason::pd_exception, "the PD crashed " + culprit, false};
    return {ErrorKind::lost, LostReason::pd_exit, "the PD ended by itself: " + end.text, false};
}

void SessionService::close(const SessionEnd& end) {
    input_ = {};
    lanes_.close_inputs();
    interfaces_.end(); // the listener may be waiting for the client
    if (!end.client_gone) {
        events_.tell(pd_status(end.why), end.reason);
        FrameHeader header;
        header.opcode = static_cast<std::uint16_t>(SessionOp::lost);
        const LostEvent event{static_cast<std::uint32_t>(end.kind), static_cast<std::uint32_t>(end.why)};
        const std::array<iovec, 2> pieces{iovec{const_cast<LostEvent*>(&event), sizeof event},
                                          iovec{const_cast<char*>(end.reason.data()), end.reason.size()}};
        // A client that is gone, or has not read what came before, learns it from the closed socket.
        static_cast<void>(send_frame(socket_.get(), header, pieces));
    }
}

void SessionService::end(SessionEnd end) {
    if (!on_end_) return;
    const auto on_end = std::exchange(on_end_, nullptr);
    input_ = {};
    on_end(std::move(end));
}

void SessionService::on_input() {
    Leftovers leftovers;
    Result<Frame> frame = receive_frame(socket_.get(), storage_, 1, &leftovers);
    Status status;
    if (frame && leftovers.no_numbers)
        status = refuse(*frame, {ErrorKind::quota, EMFILE, "the host has no fd number for the buffer"});
    else if (frame)
        status = serve(*frame);
    else if (frame.error().os_error == EAGAIN)
        return;
    else
        status = std::unexpected(frame.error());
    if (!foreign_.close(std::move(frame ? frame->fds : leftovers.fds)) && status)
        status = fail(ErrorKind::protocol, "it handed over files that can't be closed, again and again");
    if (status) return;
    const Error& error = status.error();
    if (error.kind == ErrorKind::lost)
        return end({ErrorKind::lost, LostReason::unknown, "the client closed its session", true});
    if (error.kind == ErrorKind::protocol)
        return end(
            {ErrorKind::protocol, LostReason::protocol, "the client broke the session protocol: " + error.text, false});
    end({error.kind, LostReason::unknown, "the session socket failed: " + error.text, false});
}

Status SessionService::serve(Frame& frame) {
    const auto op = static_cast<SessionOp>(frame.header.opcode);
    if (frame.header.flags != 0) return fail(ErrorKind::protocol, "a reply came from the client");
    if (frame.fds.size() != (op == SessionOp::register_buffer ? 1 : 0))
        return fail(ErrorKind::protocol, fmt::format("opcode {} with {} fds", frame.header.opcode, frame.fds.size()));
    switch (op) {
    case SessionOp::open_lane:
    case SessionOp::open_shared_lane:
        return open_lane(frame, op == SessionOp::open_shared_lane);
    case SessionOp::allocate_buffer:
        return allocate_buffer(frame);
    case SessionOp::register_buffer:
        return register_buffer(frame);
    case SessionOp::free_buffer:
        return free_buffer(frame);
    case SessionOp::usage:
        return usage(frame);
    case SessionOp::open_events:
        return open_events(frame);
    case SessionOp::serve_interface:
        return serve_interface(frame);
    case SessionOp::lost:
        break;
    }
    return fail(ErrorKind::protocol, fmt::format("the session socket has no request {}", frame.header.opcode));
}

Status SessionService::open_lane(const Frame& frame, bool shared) {
    if (Status status = no_body(frame); !status) return status;
    const Result<LaneChannel::ClientEnds> ends = lanes_.open(shared);
    if (!ends) return refuse(frame, ends.error());
    std::vector<int> fds;
    for (const UniqueFd& end : *ends) fds.push_back(end.get());
    return send_frame(socket_.get(), reply_to(frame), std::span<const std::byte>{}, fds);
}

Status SessionService::open_events(const Frame& frame) {
    if (Status status = no_body(frame); !status) return status;
    return reply_socket(frame, events_.open());
}

Status SessionService::serve_interface(const Frame& frame) {
    if (frame.payload.empty() || frame.payload.size() > max_interface_name)
        return fail(ErrorKind::protocol, fmt::format("a name of an interface with {} bytes", frame.payload.size()));
    const std::string_view name(reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size() - 1);
    if (frame.payload.back() != std::byte{0})
        return refuse(frame, {ErrorKind::invalid, 0, "the name of an interface ends with a NUL"});
    return reply_socket(frame, interfaces_.serve(name));
}

Status SessionService::reply_socket(const Frame& frame, const Result<UniqueFd>& socket) {
    if (!socket) return refuse(frame, socket.error());
    const int fd = socket->get();
    return send_frame(socket_.get(), reply_to(frame), std::span<const std::byte>{}, std::span(&fd, 1));
}

// A host out of fds is a limit like any other: what the client has, it keeps.
Status SessionService::refuse(const Frame& frame, Error error) {
    if (error.os_error == EMFILE || error.os_error == ENFILE) {
        error.kind = ErrorKind::quota;
        error.text += ": free buffers, or close lanes and sockets";
    }
    return send_error(socket_.get(), frame.header, error);
}

Status SessionService::allocate_buffer(const Frame& frame) {
    const Result<BufferRequest> request = body<BufferRequest>(frame);
    if (!request) return std::unexpected(request.error());
    if (const Status status = check_reserved(*request); !status) return refuse(frame, status.error());
    UniqueFd share;
    const Result<BufferTable::Added> added = buffers_.allocate(request->size, share);
    return reply_buffer(frame, added, share.get());
}

Status SessionService::register_buffer(Frame& frame) {
    const Result<BufferRequest> request = body<BufferRequest>(frame);
    if (!request) return std::unexpected(request.error());
    if (const Status status = check_reserved(*request); !status) return refuse(frame, status.error());
    return reply_buffer(frame, buffers_.adopt(frame.fds.front(), request->size), -1);
}

Status SessionService::reply_buffer(const Frame& frame, const Result<BufferTable::Added>& added, int share) {
    if (!added) return refuse(frame, added.error());
    const BufferReply reply{added->id, added->needs_sync ? buffer_needs_sync : 0, added->size};
    return send_frame(socket_.get(), reply_to(frame), std::as_bytes(std::span(&reply, 1)),
                      std::span(&share, share >= 0 ? 1 : 0));
}

Status SessionService::free_buffer(const Frame& frame) {
    const Result<BufferId> request = body<BufferId>(frame);
    if (!request) return std::unexpected(request.error());
    if (request->reserved != 0) return refuse(frame, {ErrorKind::invalid, 0, "the reserved field is not 0"});
    if (const Status freed = buffers_.free(request->id); !freed) return refuse(frame, freed.error());
    return send_frame(socket_.get(), reply_to(frame));
}

Status SessionService::usage(const Frame& frame) {
    if (Status status = no_body(frame); !status) return status;
    const std::vector<std::byte> payload = encode(counters());
    return send_frame(socket_.get(), reply_to(frame), payload);
}

} // namespace fastrpc::daemon
