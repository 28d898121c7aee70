#include "broker/host_link.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>

namespace fastrpc::broker {
namespace {

template<class Message, class Payload = Message>
Result<HostMessage> decoded(const Frame& frame) {
    auto payload = decode<Payload>(frame.payload);
    if (!payload) return std::unexpected(payload.error());
    return HostMessage(Message{std::move(*payload)});
}

} // namespace

HostLink::HostLink(sd_event* loop, UniqueFd socket, Handler handler) :
    loop_(loop), socket_(std::move(socket)), handler_(std::make_shared<Handler>(std::move(handler))) {}

Result<std::unique_ptr<HostLink>> HostLink::open(sd_event* loop, UniqueFd socket, Handler handler) {
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0)
        return fail_errno("preparing a control connection", errno);
    std::unique_ptr<HostLink> link(new HostLink(loop, std::move(socket), std::move(handler)));
    auto source = Source::io(loop, link->socket_.get(), EPOLLIN, [raw = link.get()] { raw->on_readable(); });
    if (!source) return std::unexpected(source.error());
    link->readable_ = std::move(*source);
    return link;
}

HostLink::~HostLink() {
    answer_waiters(fail(ErrorKind::lost, "the host of this PD has ended"));
}

void HostLink::set_handler(Handler handler) {
    handler_ = std::make_shared<Handler>(std::move(handler));
}

Status HostLink::send(ControlOp op, std::span<const std::byte> payload, std::span<const int> fds,
                      std::uint64_t cookie) {
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(op);
    header.cookie = cookie;
    const Status sent = send_frame(socket_.get(), header, payload, fds);
    if (!sent && sent.error().os_error == EAGAIN)
        return fail(ErrorKind::timeout, "the host does not read its control connection", EAGAIN);
    return sent;
}

Status HostLink::start(const StartMessage& message, std::span<const int> fds) {
    return send(ControlOp::start, encode(message), fds);
}

Status HostLink::accept() {
    FrameHeader header = described_;
    header.flags = frame_reply;
    return send_frame(socket_.get(), header);
}

Status HostLink::reject(const Error& error) {
    return send_error(socket_.get(), described_, error);
}

Status HostLink::terminate(std::string_view reason) {
    return send(ControlOp::terminate, std::as_bytes(std::span(reason)));
}

bool HostLink::hung_up() const {
    pollfd wanted{socket_.get(), 0, 0};
    return ::poll(&wanted, 1, 0) > 0 && (wanted.revents & (POLLHUP | POLLERR)) != 0;
}

void HostLink::query(CountersWaiter waiter) {
    waiters_.push_back(std::move(waiter));
    if (asking_) return;
    if (const Status sent = send(ControlOp::query, {}, {}, ++asked_); !sent)
        return answer_waiters(std::unexpected(sent.error()));
    asking_ = true;
    query_timer_ = Source::timer(loop_, query_timeout, [this] {
        asking_ = false;
        answer_waiters(fail(ErrorKind::timeout, "the host did not answer within a second"));
    });
}

void HostLink::answer_waiters(const Result<Counters>& result) {
    query_timer_.reset();
    for (const CountersWaiter& waiter : std::exchange(waiters_, {})) waiter(result);
}

void HostLink::count(const Counters& counters) noexcept {
    counters_ = counters;
    counted_ = true;
}

void HostLink::deliver(HostMessage message) {
    const auto handler = handler_; // this link may die in the call, and its handler with it
    (*handler)(std::move(message));
}

void HostLink::gone(Error error) {
    readable_.reset();
    deliver(HostGone{std::move(error)});
}

// One frame per turn of the loop: a host that floods its connection shares the loop with all others.
void HostLink::on_readable() {
    std::array<std::byte, max_control_datagram> storage; // NOLINT: filled by the kernel, as far as the frame says
    const auto frame = receive_frame(socket_.get(), storage, 0);
    if (!frame) {
        if (frame.error().os_error != EAGAIN) gone(frame.error());
        return;
    }
    if ((frame->header.flags & frame_reply) != 0) {
        if (const Status done = on_answer(*frame); !done) gone(done.error());
        return;
    }
    auto message = parse(*frame);
    if (!message) return gone(message.error());
    deliver(std::move(*message));
}

Result<HostMessage> HostLink::parse(const Frame& frame) {
    switch (static_cast<ControlOp>(frame.header.opcode)) {
    case ControlOp::ready:
        return decoded<HostReady, Description>(frame);
    case ControlOp::failed:
        return decoded<FailedMessage>(frame);
    case ControlOp::describe:
        described_ = frame.header;
        return decoded<HostDescribes, Description>(frame);
    case ControlOp::state:
        return decoded<HostState, Description>(frame);
    case ControlOp::bye: {
        auto bye = decoded<ByeMessage>(frame);
        if (bye) count(std::get<ByeMessage>(*bye).counters);
        return bye;
    }
    case ControlOp::start:
    case ControlOp::query:
    case ControlOp::terminate:
    case ControlOp::command:
    case ControlOp::files:
    case ControlOp::counters:
        break;
    }
    return fail(ErrorKind::protocol,
                fmt::format("a host sent opcode {}, which is none of its own", frame.header.opcode));
}

Status HostLink::on_answer(const Frame& frame) {
    const FrameHeader& header = frame.header;
    if (header.opcode != static_cast<std::uint16_t>(ControlOp::query) || header.cookie == 0 || header.cookie > asked_)
        return fail(ErrorKind::protocol, "a host answered what nobody asked");
    if (header.cookie < asked_ || !asking_) return {}; // too late; its askers were told so
    asking_ = false;
    if (header.status != 0) {
        answer_waiters(std::unexpected(error_of(frame)));
        return {};
    }
    auto counters = decode<Counters>(frame.payload);
    if (!counters) return std::unexpected(counters.error());
    count(*counters);
    answer_waiters(counters);
    return {};
}

} // namespace fastrpc::broker
