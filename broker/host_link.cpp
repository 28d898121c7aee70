#include "broker/host_link.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>

namespace fastrpc::broker {
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
    const auto ended = fail(ErrorKind::lost, "the host of this PD has ended");
    for (const auto& [cookie, question] : std::exchange(questions_, {})) static_cast<void>(question.answer(ended));
    answer_waiters(ended);
}

void HostLink::set_handler(Handler handler) {
    handler_ = std::make_shared<Handler>(std::move(handler));
}

Status HostLink::send(ControlOp op, std::span<const std::byte> payload, std::span<const int> fds,
                      std::uint64_t cookie) {
    FrameHeader header;
    header.version = version_;
    header.opcode = static_cast<std::uint16_t>(op);
    header.cookie = cookie;
    const Status sent = send_frame(socket_.get(), header, payload, fds);
    if (!sent && sent.error().os_error == EAGAIN)
        return fail(ErrorKind::timeout, "the host does not read its control connection", EAGAIN);
    return sent;
}

Status HostLink::start(const StartMessage& message, std::span<const int> fds) {
    return send(ControlOp::start, encode(message, version_), fds);
}

Status HostLink::accept() {
    FrameHeader header = described_;
    header.flags = frame_reply;
    return send_frame(socket_.get(), header);
}

Status HostLink::reject(const Error& error) {
    return send_error(socket_.get(), described_, error);
}

Status HostLink::terminate(LostReason reason, std::string_view text) {
    return send(ControlOp::terminate, encode(TerminateMessage{reason, std::string(text)}, version_));
}

Status HostLink::leave(const LeaveMessage& message) {
    return send(ControlOp::leave, encode(message, version_));
}

bool HostLink::hung_up() const {
    pollfd wanted{socket_.get(), 0, 0};
    return ::poll(&wanted, 1, 0) > 0 && (wanted.revents & (POLLHUP | POLLERR)) != 0;
}

void HostLink::ask(ControlOp op, std::span<const std::byte> payload, Answer answer) {
    const std::uint64_t cookie = ++asked_;
    if (const Status sent = send(op, payload, {}, cookie); !sent) {
        static_cast<void>(answer(std::unexpected(sent.error())));
        return;
    }
    Source patience = Source::timer(loop_, query_timeout, [this, cookie] {
        const auto late = questions_.extract(cookie);
        static_cast<void>(late.mapped().answer(fail(ErrorKind::timeout, "the host did not answer within a second")));
    });
    questions_.emplace(cookie, Question{op, std::move(answer), std::move(patience)});
}

void HostLink::query(CountersWaiter waiter) {
    waiters_.push_back(std::move(waiter));
    if (waiters_.size() > 1) return; // the question is on its way
    ask_latency();                   // a host answers in the order of the questions
    ask(ControlOp::query, {}, [this](const Result<std::span<const std::byte>>& payload) -> Status {
        const auto counters = payload ? decode<Counters>(*payload, version_) : std::unexpected(payload.error());
        if (counters) count(*counters);
        answer_waiters(counters);
        if (payload && !counters) return std::unexpected(counters.error());
        return {};
    });
}

void HostLink::ask_latency() {
    if (version_ < control_latency) return;
    ask(ControlOp::latency, {}, [this](const Result<std::span<const std::byte>>& payload) -> Status {
        if (!payload) return {}; // what it told last still holds
        const auto latency = decode<Latency>(*payload, version_);
        if (!latency) return std::unexpected(latency.error());
        latency_ = *latency;
        return {};
    });
}

void HostLink::files(std::uint64_t since, FilesWaiter waiter) {
    if (questions_.size() >= max_questions)
        return waiter(fail(ErrorKind::busy, "too many questions to this host are open; try again later"));
    ask(ControlOp::files, encode(FilesRequest{since}, version_),
        [this, since, waiter = std::move(waiter)](const Result<std::span<const std::byte>>& payload) -> Status {
            auto page = payload ? decode<FilesPage>(*payload, version_) : std::unexpected(payload.error());
            if (page && !page->reports.empty() && page->reports.front().sequence <= since)
                page = fail(ErrorKind::protocol, "a host told of files that were told before");
            waiter(page);
            if (payload && !page) return std::unexpected(page.error());
            return {};
        });
}

void HostLink::command(const PdCommand& command, StatusWaiter waiter) {
    ask(ControlOp::command, encode(command, version_),
        [waiter = std::move(waiter)](const Result<std::span<const std::byte>>& payload) -> Status {
            Status obeyed;
            if (!payload)
                obeyed = std::unexpected(payload.error());
            else if (!payload->empty())
                obeyed = fail(ErrorKind::protocol, "a host accepted a command with surplus bytes");
            waiter(obeyed);
            return payload ? obeyed : Status();
        });
}

void HostLink::answer_waiters(const Result<Counters>& result) {
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
    const auto frame = receive_frame_of_any_version(socket_.get(), storage, 0);
    if (!frame) {
        if (frame.error().os_error != EAGAIN) gone(frame.error());
        return;
    }
    if (const Status agreed = agree(frame->header); !agreed) return gone(agreed.error());
    if ((frame->header.flags & frame_reply) != 0) {
        if (const Status done = on_answer(*frame); !done) gone(done.error());
        return;
    }
    auto message = parse(*frame);
    if (!message) return gone(message.error());
    deliver(std::move(*message));
}

Status HostLink::agree(const FrameHeader& header) {
    const bool reply = (header.flags & frame_reply) != 0;
    const auto op = static_cast<ControlOp>(header.opcode);
    const bool begins = !reply && (op == ControlOp::describe || op == ControlOp::failed);
    if (!begins && header.version != version_)
        return fail(ErrorKind::protocol,
                    fmt::format("a host went from version {} of the control protocol to {}", version_, header.version));
    if (control_versions.speaks(header.version)) {
        version_ = header.version;
        return {};
    }
    const Error error = not_spoken(header.version);
    described_ = header;
    described_.version = control_versions.newest;
    // Whether it hears that or not: the connection ends, and it tries another version.
    if (op == ControlOp::describe) std::ignore = reject(error);
    return std::unexpected(error);
}

template<class Message, class Payload>
Result<HostMessage> HostLink::decoded(const Frame& frame) const {
    auto payload = decode<Payload>(frame.payload, version_);
    if (!payload) return std::unexpected(payload.error());
    return HostMessage(Message{std::move(*payload)});
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
    case ControlOp::counters: {
        const auto counters = decode<Counters>(frame.payload, version_);
        if (!counters) return std::unexpected(counters.error());
        count(*counters);
        return HostCounted{};
    }
    case ControlOp::latency: {
        const auto latency = decode<Latency>(frame.payload, version_);
        if (!latency) return std::unexpected(latency.error());
        latency_ = *latency;
        return HostCounted{};
    }
    case ControlOp::start:
    case ControlOp::query:
    case ControlOp::terminate:
    case ControlOp::leave:
    case ControlOp::command:
    case ControlOp::files:
        break;
    }
    return fail(ErrorKind::protocol,
                fmt::format("a host sent opcode {}, which is none of its own", frame.header.opcode));
}

Status HostLink::on_answer(const Frame& frame) {
    const FrameHeader& header = frame.header;
    if (header.cookie == 0 || header.cookie > asked_)
        return fail(ErrorKind::protocol, "a host answered what nobody asked");
    const auto found = questions_.find(header.cookie);
    if (found == questions_.end()) return {}; // too late; its askers were told so
    if (header.opcode != static_cast<std::uint16_t>(found->second.op))
        return fail(ErrorKind::protocol, "a host answered another question than it was asked");
    const auto question = questions_.extract(found);
    if (header.status != 0) return question.mapped().answer(std::unexpected(error_of(frame)));
    return question.mapped().answer(frame.payload);
}

} // namespace fastrpc::broker
