#include "client/session.hpp"

#include "ipc/shared_lane.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fastrpc::core {
namespace {

constexpr int word_of_host_ms = 1000;
constexpr std::size_t any_size = ~std::size_t{0};

template<class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

// "the session is lost (timeout): a call took longer than ..."; a number that is no kind is left out.
std::string lost_text(std::uint32_t kind, std::span<const std::byte> why) {
    std::string text = "the session is lost";
    if (kind > 0 && kind <= static_cast<std::uint32_t>(ErrorKind::dsp) &&
        kind != static_cast<std::uint32_t>(ErrorKind::lost))
        text += fmt::format(" ({})", to_string(static_cast<ErrorKind>(kind)));
    return text + ": " + std::string(reinterpret_cast<const char*>(why.data()), why.size());
}

// For those who compare, and where a debugger shall see every frame as a system call.
bool wants_shared_lanes() {
    const char* kind = ::getenv("FASTRPC_LANE");
    return kind == nullptr || std::string_view(kind) != "socket";
}

} // namespace

Session::Session(UniqueFd socket, SessionInfo info) :
    socket_(std::move(socket)),
    info_(std::move(info)), grant_{info_.rule.c_str(), info_.file.c_str(), info_.line,       info_.lanes,
                                   info_.memory,       info_.buffers,      info_.deadline_ms},
    owner_(::getpid()), shared_lanes_(wants_shared_lanes()), pool_(info_.lanes, [this] { return open_lane(); }),
    parts_(std::make_unique<Parts>(*this, info_)) {}

Session::~Session() {
    if (forked())
        (void)parts_.release();
    else
        finish();
}

bool Session::forked() const noexcept {
    return ::getpid() != owner_;
}

// Whatever ended it, for every later call the session is lost.
Error Session::lose(Error reason) {
    reason.kind = ErrorKind::lost;
    int none = -1;
    reason_.compare_exchange_strong(none, static_cast<int>(LostReason::unknown));
    pool_.end(std::move(reason));
    ::shutdown(socket_.get(), SHUT_RDWR);
    end_parts();
    return *pool_.ended();
}

void Session::end_parts() noexcept {
    parts_->events.end();
    const std::lock_guard lock(parts_->mutex);
    parts_->ended = true;
    for (const auto& service : parts_->services) service->end();
}

void Session::close() {
    if (forked()) return; // shutdown would reach the parent's session
    lose({ErrorKind::lost, 0, "the session was closed by this program"});
}

void Session::finish() {
    // Also after a close() that had no memory for its reason: without this socket the host ends all others.
    ::shutdown(socket_.get(), SHUT_RDWR);
    end_parts();
    parts_->jobs.finish();
    std::vector<std::shared_ptr<Service>> services;
    {
        const std::lock_guard lock(parts_->mutex);
        services.swap(parts_->services);
    }
    for (const auto& service : services) service->finish();
}

bool Session::on_own_thread() {
    if (parts_->jobs.calling_back()) return true;
    const std::lock_guard lock(parts_->mutex);
    return std::ranges::any_of(parts_->services, [](const auto& service) { return service->serving(); });
}

// A frame that is a reply; the lost event, the end of the connection and anything malformed end the session.
Result<Frame> Session::receive() {
    auto frame = receive_frame(socket_.get(), storage_, shared_lane_fds);
    // A host that closes with a request unread resets the connection, and what it said before stands behind that.
    if (!frame && frame.error().os_error == ECONNRESET) frame = receive_frame(socket_.get(), storage_, shared_lane_fds);
    if (!frame) {
        if (frame.error().kind == ErrorKind::lost) frame.error().text = "the host of the session ended without a word";
        return std::unexpected(lose(std::move(frame.error())));
    }
    const FrameHeader& header = frame->header;
    if ((header.flags & frame_reply) != 0) return frame;
    LostEvent event{};
    if (header.opcode != static_cast<std::uint16_t>(SessionOp::lost) || frame->payload.size() < sizeof event)
        return std::unexpected(lose(
            {ErrorKind::protocol, 0, fmt::format("the host sent an event {} that does not exist", header.opcode)}));
    std::memcpy(&event, frame->payload.data(), sizeof event);
    int none = -1;
    if (event.reason <= static_cast<std::uint32_t>(last_lost_reason))
        reason_.compare_exchange_strong(none, static_cast<int>(event.reason));
    return std::unexpected(lose({ErrorKind::lost, 0, lost_text(event.kind, frame->payload.subspan(sizeof event))}));
}

// Needs control_. The frame's payload lies in storage_.
Result<Frame> Session::request(SessionOp op, std::span<const std::byte> payload, std::span<const int> fds,
                               std::size_t reply_size, std::size_t reply_fds) {
    const FrameHeader header{.opcode = static_cast<std::uint16_t>(op), .cookie = ++cookie_};
    if (auto sent = send_frame(socket_.get(), header, payload, fds); !sent) {
        if (sent.error().kind != ErrorKind::lost) return std::unexpected(std::move(sent.error()));
        // What the host said before it closed can still be read; a reply can't, there is none to wait for.
        auto word = receive();
        if (!word) return word;
        return std::unexpected(lose(std::move(sent.error())));
    }
    auto reply = receive();
    if (!reply) return reply;
    const bool failed = reply->header.status != 0;
    if (reply->header.opcode != header.opcode || reply->header.cookie != cookie_ ||
        reply->fds.size() != (failed ? 0 : reply_fds) ||
        (!failed && reply_size != any_size && reply->payload.size() != reply_size))
        return std::unexpected(
            lose({ErrorKind::protocol, 0,
                  fmt::format("the host answered request {} wrongly (opcode {}, {} bytes, {} fds)", header.opcode,
                              reply->header.opcode, reply->payload.size(), reply->fds.size())}));
    if (!failed) return reply;
    Error error = error_of(*reply);
    if (error.kind == ErrorKind::lost) error = lose(std::move(error));
    return std::unexpected(std::move(error));
}

Result<std::unique_ptr<LaneChannel>> Session::open_lane() {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
    if (shared_lanes_) {
        auto reply = request(SessionOp::open_shared_lane, {}, {}, 0, shared_lane_fds);
        if (reply) return LaneChannel::over(std::move(reply->fds));
        // Too many lanes is no matter of their kind.
        if (reply.error().kind == ErrorKind::quota || reply.error().kind == ErrorKind::lost)
            return std::unexpected(std::move(reply.error()));
        shared_lanes_ = false;
    }
    auto reply = request(SessionOp::open_lane, {}, {}, 0, 1);
    if (!reply) return std::unexpected(std::move(reply.error()));
    return LaneChannel::over(std::move(reply->fds.front()));
}

Result<NewBuffer> Session::buffer_reply(Result<Frame> reply, std::uint64_t size) {
    if (!reply) return std::unexpected(std::move(reply.error()));
    BufferReply answer{};
    std::memcpy(&answer, reply->payload.data(), sizeof answer);
    NewBuffer buffer{answer.id, answer.size, (answer.flags & buffer_needs_sync) != 0,
                     reply->fds.empty() ? UniqueFd() : std::move(reply->fds.front())};
    if (buffer.id == 0 || buffer.size < size)
        return std::unexpected(lose(
            {ErrorKind::protocol, 0,
             fmt::format("the host made buffer {} of {} bytes, {} were asked for", buffer.id, buffer.size, size)}));
    return buffer;
}

Result<NewBuffer> Session::allocate(std::uint64_t size) {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
    const BufferRequest body{size, 0, 0};
    return buffer_reply(request(SessionOp::allocate_buffer, bytes_of(body), {}, sizeof(BufferReply), 1), size);
}

Result<NewBuffer> Session::register_buffer(int fd, std::uint64_t size) {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
    const BufferRequest body{size, 0, 0};
    return buffer_reply(request(SessionOp::register_buffer, bytes_of(body), std::span(&fd, 1), sizeof(BufferReply), 0),
                        size);
}

Status Session::free_buffer(std::uint32_t id) {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
    const BufferId body{id, 0};
    auto reply = request(SessionOp::free_buffer, bytes_of(body), {}, 0, 0);
    if (!reply) return std::unexpected(std::move(reply.error()));
    return {};
}

Result<Counters> Session::usage() {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
    auto reply = request(SessionOp::usage, {}, {}, any_size, 0);
    if (!reply) return std::unexpected(std::move(reply.error()));
    auto counters = decode<Counters>(reply->payload);
    if (!counters) return std::unexpected(lose(std::move(counters.error())));
    return counters;
}

Result<UniqueFd> Session::open_events() {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
    auto reply = request(SessionOp::open_events, {}, {}, 0, 1);
    if (!reply) return std::unexpected(std::move(reply.error()));
    return std::move(reply->fds.front());
}

Result<std::shared_ptr<Service>> Session::serve(std::string_view name, fastrpc_handler handler, void* context) {
    const std::string with_nul(name);
    UniqueFd socket;
    {
        const std::lock_guard lock(control_);
        if (auto reason = pool_.ended()) return std::unexpected(std::move(*reason));
        auto reply = request(SessionOp::serve_interface,
                             std::as_bytes(std::span(with_nul.c_str(), with_nul.size() + 1)), {}, 0, 1);
        if (!reply) return std::unexpected(std::move(reply.error()));
        socket = std::move(reply->fds.front());
    }
    auto service = std::make_shared<Service>(std::move(socket), handler, context);
    const std::lock_guard lock(parts_->mutex);
    // Known before it serves: its handler may ask whose thread it is on.
    parts_->services.push_back(service);
    if (auto started = service->start(); !started) {
        parts_->services.pop_back();
        return std::unexpected(std::move(started.error()));
    }
    if (parts_->ended) service->end();
    return service;
}

void Session::forget(const std::shared_ptr<Service>& service) {
    const std::lock_guard lock(parts_->mutex);
    std::erase(parts_->services, service);
}

std::optional<Error> Session::lost_within(int milliseconds) {
    const std::lock_guard lock(control_);
    if (auto reason = pool_.ended()) return reason;
    pollfd ready{socket_.get(), POLLIN, 0};
    int count = 0;
    do count = ::poll(&ready, 1, milliseconds);
    while (count < 0 && errno == EINTR);
    if (count <= 0) return std::nullopt;
    auto word = receive();
    if (!word) return std::move(word.error());
    return lose({ErrorKind::protocol, 0, "the host answered a request that was not made"});
}

Error Session::why(Error seen) {
    return lost_within(word_of_host_ms).value_or(std::move(seen));
}

} // namespace fastrpc::core
