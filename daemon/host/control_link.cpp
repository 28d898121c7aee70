#include "daemon/host/control_link.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto first_delay = 50ms;
constexpr auto longest_delay = 1000ms;
// Of a host that fastrpcd does not understand: it will when it is upgraded, and its own log has a line for each try.
constexpr auto unspoken_delay = 60'000ms;

// Never waits: while fastrpcd is away, systemd holds the socket and its queue may be full.
UniqueFd connect_now(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return {};
    std::ranges::copy(path, address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        socket.reset();
    return socket;
}

} // namespace

ControlLink::ControlLink(Loop& loop, std::string path, Handlers handlers) :
    path_(std::move(path)), handlers_(std::move(handlers)), loop_(loop), retry_(loop, [this] { try_connect(); }),
    delay_(first_delay) {}

void ControlLink::adopt(UniqueFd connected, std::uint16_t version) {
    version_ = version;
    attach(std::move(connected));
}
void ControlLink::connect() {
    try_connect();
}

void ControlLink::attach(UniqueFd socket) {
    // A fastrpcd that does not read must not stop the loop.
    ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    socket_ = std::move(socket);
    input_ = loop_.on_input(socket_.get(), [this] { on_input(); });
}

void ControlLink::try_connect() {
    UniqueFd socket = connect_now(path_);
    if (!socket) return broken();
    attach(std::move(socket));
    cookie_ = next_cookie_++;
    version_ = offer_;
    if (!send(ControlOp::describe, encode(handlers_.describe(), version_), cookie_)) broken();
}

void ControlLink::broken() {
    input_ = {};
    socket_.reset();
    cookie_ = 0;
    retry_.set(delay_);
    delay_ = delay_ > longest_delay ? first_delay : std::min<std::chrono::milliseconds>(delay_ * 2, longest_delay);
}

void ControlLink::on_input() {
    const Result<Frame> frame = receive_frame_of_any_version(socket_.get(), storage_, 0);
    if (!frame && frame.error().os_error == EAGAIN) return;
    if (!frame || !serve(*frame)) broken();
}

Status ControlLink::serve(const Frame& frame) {
    const bool reply = (frame.header.flags & frame_reply) != 0;
    if (frame.header.version != version_ && frame.header.status != static_cast<std::uint32_t>(ErrorKind::unsupported))
        return fail(ErrorKind::protocol, "fastrpcd changed the version of the control protocol");
    switch (static_cast<ControlOp>(frame.header.opcode)) {
    case ControlOp::describe:
        if (!reply || cookie_ == 0 || frame.header.cookie != cookie_) break;
        cookie_ = 0;
        delay_ = first_delay;
        if (frame.header.status == static_cast<std::uint32_t>(ErrorKind::unsupported)) return offer_another();
        offer_ = control_versions.newest; // the next fastrpcd may be another
        if (frame.header.status != 0)
            handlers_.rejected(error_of(frame));
        else if (handlers_.accepted)
            handlers_.accepted();
        return {};
    case ControlOp::query: {
        if (reply || !frame.payload.empty()) break;
        return answer(frame, encode(handlers_.counters(), version_));
    }
    case ControlOp::latency:
        if (reply || !frame.payload.empty()) break;
        return answer(frame, encode(handlers_.latency ? handlers_.latency() : Latency{}, version_));
    case ControlOp::files: {
        const Result<FilesRequest> request = decode<FilesRequest>(frame.payload, version_);
        if (reply || !request) break;
        return answer(frame, encode(first_page(handlers_.files(request->since)), version_));
    }
    case ControlOp::command:
        if (reply) break;
        return obey(frame);
    case ControlOp::terminate: {
        Result<TerminateMessage> message = decode<TerminateMessage>(frame.payload, version_);
        if (reply || !message) break;
        message->text = printable(message->text);
        handlers_.terminate(std::move(*message));
        return {};
    }
    case ControlOp::leave: {
        Result<LeaveMessage> message = decode<LeaveMessage>(frame.payload, version_);
        if (reply || !message) break;
        message->text = printable(message->text);
        if (handlers_.leave) handlers_.leave(*message);
        return {};
    }
    default:
        break;
    }
    return fail(ErrorKind::protocol, fmt::format("fastrpcd sent opcode {}", frame.header.opcode));
}

Status ControlLink::offer_another() {
    if (offer_ > control_versions.oldest) {
        --offer_;
    } else {
        offer_ = control_versions.newest;
        delay_ = unspoken_delay;
    }
    return fail(ErrorKind::unsupported, "fastrpcd does not speak this version");
}

Status ControlLink::obey(const Frame& frame) {
    Result<PdCommand> command = decode<PdCommand>(frame.payload, version_);
    if (!command) return std::unexpected(command.error());
    command->by = printable(command->by);
    const Status obeyed =
        handlers_.command
            ? handlers_.command(*command)
            : fail(ErrorKind::unsupported, fmt::format("a session's PD has no {}: it lives as long as its session",
                                                       to_string(command->action)));
    return obeyed ? answer(frame) : send_error(socket_.get(), frame.header, obeyed.error());
}

Status ControlLink::answer(const Frame& request, std::span<const std::byte> payload) {
    FrameHeader header = request.header;
    header.flags = frame_reply;
    return send_frame(socket_.get(), header, payload);
}

Status ControlLink::send(ControlOp op, std::span<const std::byte> payload, std::uint64_t cookie) {
    FrameHeader header;
    header.version = version_;
    header.opcode = static_cast<std::uint16_t>(op);
    header.cookie = cookie;
    return send_frame(socket_.get(), header, payload);
}

void ControlLink::send_state() {
    if (socket_ && !send(ControlOp::state, encode(handlers_.describe(), version_))) broken();
}

void ControlLink::send_counters() {
    if (socket_ && !send(ControlOp::counters, encode(handlers_.counters(), version_))) broken();
}

void ControlLink::send_bye(const ByeMessage& bye, const std::optional<Latency>& latency) {
    // Nobody is told when nobody is there: fastrpcd sees the connection close.
    if (socket_ && latency && version_ >= control_latency)
        static_cast<void>(send(ControlOp::latency, encode(*latency, version_)));
    if (socket_) static_cast<void>(send(ControlOp::bye, encode(bye, version_)));
    retry_.cancel();
    input_ = {};
    socket_.reset();
}

} // namespace fastrpc::daemon
