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

SessionService::SessionService(Loop& loop, Device& device, Heap& heap, const ReverseStats& reverse,
                               Generation generation, const Limits& limits, MemoryBudget& budget, UniqueFd socket,
                               std::function<void(SessionEnd)> on_end) :
    reverse_(reverse),
    budget_(budget), buffers_(heap, device, limits.buffers, budget),
    lanes_(loop, device, buffers_, modules_, generation, limits,
           [this](std::string reason) {
               this->end({ErrorKind::timeout, std::move(reason), false});
           }),
    socket_(std::move(socket)), on_end_(std::move(on_end)) {
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
        return {ErrorKind::lost, "the DSP restarted or went away: " + end.text, false};
    const std::string culprit = lanes_.culprit(end.last.result);
    if (!culprit.empty()) return {ErrorKind::lost, "the PD crashed " + culprit, false};
    return {ErrorKind::lost, "the PD ended by itself: " + end.text, false};
}

void SessionService::close(const SessionEnd& end) {
    input_ = {};
    lanes_.close_inputs();
    if (!end.client_gone) {
        FrameHeader header;
        header.opcode = static_cast<std::uint16_t>(SessionOp::lost);
        const LostEvent event{static_cast<std::uint32_t>(end.kind), 0};
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
    Result<Frame> frame = receive_frame(socket_.get(), storage_, 1);
    Status status;
    if (frame)
        status = serve(*frame);
    else if (frame.error().os_error == EAGAIN)
        return;
    else
        status = std::unexpected(frame.error());
    if (status) return;
    const Error& error = status.error();
    if (error.kind == ErrorKind::lost) return end({ErrorKind::lost, "the client closed its session", true});
    if (error.kind == ErrorKind::protocol)
        return end({ErrorKind::protocol, "the client broke the session protocol: " + error.text, false});
    end({error.kind, "the session socket failed: " + error.text, false});
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
    case SessionOp::lost:
    case SessionOp::open_events:
    case SessionOp::serve_interface:
        break;
    }
    return fail(ErrorKind::protocol, fmt::format("the session socket has no request {}", frame.header.opcode));
}

Status SessionService::open_lane(const Frame& frame, bool shared) {
    if (Status status = no_body(frame); !status) return status;
    const Result<LaneChannel::ClientEnds> ends = lanes_.open(shared);
    if (!ends) return send_error(socket_.get(), frame.header, ends.error());
    std::vector<int> fds;
    for (const UniqueFd& end : *ends) fds.push_back(end.get());
    return send_frame(socket_.get(), reply_to(frame), std::span<const std::byte>{}, fds);
}

Status SessionService::allocate_buffer(const Frame& frame) {
    const Result<BufferRequest> request = body<BufferRequest>(frame);
    if (!request) return std::unexpected(request.error());
    if (const Status status = check_reserved(*request); !status)
        return send_error(socket_.get(), frame.header, status.error());
    UniqueFd share;
    const Result<BufferTable::Added> added = buffers_.allocate(request->size, share);
    return reply_buffer(frame, added, share.get());
}

Status SessionService::register_buffer(Frame& frame) {
    const Result<BufferRequest> request = body<BufferRequest>(frame);
    if (!request) return std::unexpected(request.error());
    if (const Status status = check_reserved(*request); !status)
        return send_error(socket_.get(), frame.header, status.error());
    return reply_buffer(frame, buffers_.adopt(std::move(frame.fds.front()), request->size), -1);
}

Status SessionService::reply_buffer(const Frame& frame, const Result<BufferTable::Added>& added, int share) {
    if (!added) return send_error(socket_.get(), frame.header, added.error());
    const BufferReply reply{added->id, added->needs_sync ? buffer_needs_sync : 0, added->size};
    return send_frame(socket_.get(), reply_to(frame), std::as_bytes(std::span(&reply, 1)),
                      std::span(&share, share >= 0 ? 1 : 0));
}

Status SessionService::free_buffer(const Frame& frame) {
    const Result<BufferId> request = body<BufferId>(frame);
    if (!request) return std::unexpected(request.error());
    if (request->reserved != 0)
        return send_error(socket_.get(), frame.header, {ErrorKind::invalid, 0, "the reserved field is not 0"});
    if (const Status freed = buffers_.free(request->id); !freed)
        return send_error(socket_.get(), frame.header, freed.error());
    return send_frame(socket_.get(), reply_to(frame));
}

Status SessionService::usage(const Frame& frame) {
    if (Status status = no_body(frame); !status) return status;
    const std::vector<std::byte> payload = encode(counters());
    return send_frame(socket_.get(), reply_to(frame), payload);
}

} // namespace fastrpc::daemon
