#include "daemon/host/lane.hpp"

#include "daemon/reverse/remotectl.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fmt/core.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

namespace fastrpc::daemon {
namespace {

FrameHeader reply_to(const FrameHeader& request) {
    FrameHeader header;
    header.opcode = request.opcode;
    header.flags = frame_reply;
    header.cookie = request.cookie;
    return header;
}

template<class T>
iovec piece(const T& value) {
    return {const_cast<T*>(&value), sizeof value};
}

std::unexpected<Error> wrong_size(const Frame& frame) {
    return fail(ErrorKind::protocol,
                fmt::format("opcode {} with {} bytes of payload", frame.header.opcode, frame.payload.size()));
}

} // namespace

std::uint64_t monotonic_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec) + 1;
}

Lane::Lane(LaneContext& context, std::unique_ptr<LaneChannel> channel, bool yields) :
    context_(context), channel_(std::move(channel)), yields_(yields),
    plan_(context.buffers, context.modules, outputs_.bytes()),
    storage_(std::make_unique_for_overwrite<std::byte[]>(max_lane_datagram)) {
    thread_ = std::thread([this] { run(); });
}

Lane::~Lane() {
    while (!finished()) {
        close_input();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    thread_.join();
}

// The end of a lane is no incident: the client closed it, or broke the protocol and sees its lane closed.
void Lane::run() noexcept {
    ::pthread_setname_np(::pthread_self(), "lane");
    // Of this thread alone, whatever POSIX says; refused, it only serves its client too well.
    if (yields_) ::setpriority(PRIO_PROCESS, 0, 19);
    sigset_t broken_pipe; // of a client that is gone
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    for (;;) {
        Result<Frame> frame = channel_->receive({storage_.get(), max_lane_datagram});
        if (!frame || !serve(*frame)) break;
    }
    plan_.release();
    channel_->end(); // the client sees it now, not when the thread was joined
    finished_.store(true, std::memory_order_release);
    context_.on_finished();
}

Status Lane::serve(Frame& frame) {
    if (frame.header.flags != 0) return fail(ErrorKind::protocol, "a reply came on a lane");
    if (context_.ending.load(std::memory_order_acquire))
        return refuse(frame.header, {ErrorKind::lost, 0, "the session is over"});
    switch (static_cast<LaneOp>(frame.header.opcode)) {
    case LaneOp::invoke:
        return invoke(frame);
    case LaneOp::open_module:
        return open_module(frame);
    case LaneOp::close_module:
        return close_module(frame);
    case LaneOp::map_buffer:
        return map_buffer(frame);
    case LaneOp::unmap_buffer:
        return unmap_buffer(frame);
    }
    return fail(ErrorKind::protocol, fmt::format("a lane has no opcode {}", frame.header.opcode));
}

Status Lane::invoke(const Frame& frame) {
    if (Status status = plan_.prepare(frame.payload); !status) return refuse(frame.header, status.error());
    began(plan_.module(), plan_.method(), plan_.deadline_ms());
    const CallResult result = context_.device.invoke(plan_.dsp_handle(), plan_.scalars(), plan_.arguments());
    const std::uint64_t took = ended(result);
    plan_.release(); // before the answer: then the client may free what it used
    counters_.record(result.ok(), plan_.bytes(), took);
    // Outputs are delivered on failure too, as the kernel does (KERNEL 1.11.6).
    const std::span<std::byte> outputs = plan_.outputs();
    const InvokeReply reply{result.result, result.os_error, static_cast<std::uint32_t>(outputs.size()), 0};
    const std::array pieces{piece(reply), iovec{outputs.data(), outputs.size()}};
    return channel_->send(reply_to(frame.header), pieces);
}

Status Lane::open_module(const Frame& frame) {
    if (frame.payload.empty() || frame.payload.size() > max_uri) return wrong_size(frame);
    const std::string_view uri(reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size() - 1);
    if (frame.payload.back() != std::byte{0} || uri.empty() || uri.find('\0') != std::string_view::npos)
        return refuse(frame.header,
                      {ErrorKind::invalid, 0, "a module URI must be a non-empty text that ends with its only NUL"});
    const Result<std::uint32_t> place = context_.modules.reserve(uri);
    if (!place) return refuse(frame.header, place.error());
    began(*place, LaneActivity::opening, 0);
    const OpenResult opened = remotectl_open(context_.device, context_.generation, uri);
    ended(opened.call);
    ModuleReply reply{opened.call.result, opened.call.os_error, opened.dl_error, 0};
    if (!opened.ok()) {
        context_.modules.abandon(*place);
        return answer(frame.header, reply, opened.text);
    }
    if (opened.handle <= ModuleTable::last_fixed_handle) {
        context_.modules.abandon(*place);
        return refuse(frame.header,
                      {ErrorKind::dsp, 0,
                       fmt::format("the DSP gave {} the reserved handle {}", module_name(uri), opened.handle)});
    }
    context_.modules.publish(*place, opened.handle);
    reply.handle = *place;
    return answer(frame.header, reply, opened.text);
}

Status Lane::close_module(const Frame& frame) {
    ModuleHandle request;
    if (frame.payload.size() != sizeof request) return wrong_size(frame);
    std::memcpy(&request, frame.payload.data(), sizeof request);
    if (request.reserved != 0) return refuse(frame.header, {ErrorKind::invalid, 0, "the reserved field is not 0"});
    const Result<std::uint32_t> handle = context_.modules.retire(request.handle);
    if (!handle) return refuse(frame.header, handle.error());
    began(request.handle, LaneActivity::closing, 0);
    const CloseResult closed = remotectl_close(context_.device, context_.generation, *handle);
    ended(closed.call);
    context_.modules.abandon(request.handle);
    return answer(frame.header, {closed.call.result, closed.call.os_error, closed.dl_error, 0}, closed.text);
}

Status Lane::map_buffer(const Frame& frame) {
    MapRequest request;
    if (frame.payload.size() != sizeof request) return wrong_size(frame);
    std::memcpy(&request, frame.payload.data(), sizeof request);
    began(request.id, LaneActivity::mapping, 0);
    const Result<Shared> mapped = context_.buffers.map(request.id, static_cast<MapMode>(request.mode), request.length);
    ended(mapped ? mapped->call : CallResult{});
    if (!mapped) return refuse(frame.header, mapped.error());
    return answer(frame.header, MapReply{mapped->call.result, mapped->call.os_error, mapped->dsp_address});
}

Status Lane::unmap_buffer(const Frame& frame) {
    BufferId request;
    if (frame.payload.size() != sizeof request) return wrong_size(frame);
    std::memcpy(&request, frame.payload.data(), sizeof request);
    if (request.reserved != 0) return refuse(frame.header, {ErrorKind::invalid, 0, "the reserved field is not 0"});
    began(request.id, LaneActivity::unmapping, 0);
    const Result<CallResult> unmapped = context_.buffers.unmap(request.id);
    ended(unmapped ? *unmapped : CallResult{});
    if (!unmapped) return refuse(frame.header, unmapped.error());
    return answer(frame.header, MapReply{unmapped->result, unmapped->os_error, 0});
}

Status Lane::answer(const FrameHeader& request, const MapReply& reply) {
    const iovec whole = piece(reply);
    return channel_->send(reply_to(request), std::span(&whole, 1));
}

Status Lane::answer(const FrameHeader& request, const ModuleReply& reply, std::string_view text) {
    const std::array pieces{piece(reply), iovec{const_cast<char*>(text.data()), text.size()}};
    return channel_->send(reply_to(request), pieces);
}

Status Lane::refuse(const FrameHeader& request, const Error& error) {
    if (error.kind == ErrorKind::protocol) return std::unexpected(error);
    FrameHeader header = reply_to(request);
    header.status = static_cast<std::uint32_t>(error.kind);
    const iovec text{const_cast<char*>(error.text.data()), error.text.size()};
    return channel_->send(header, {&text, 1});
}

void Lane::began(std::uint32_t module, std::uint32_t method, std::uint32_t deadline_ms) noexcept {
    if (deadline_ms == 0) deadline_ms = context_.deadline_ms;
    if (context_.deadline_ms != 0) deadline_ms = std::min(deadline_ms, context_.deadline_ms);
    const std::uint64_t now = monotonic_ns();
    activity_.module.store(module, std::memory_order_relaxed);
    activity_.method.store(method, std::memory_order_relaxed);
    activity_.expires_ns.store(deadline_ms == 0 ? 0 : now + std::uint64_t{deadline_ms} * 1'000'000U,
                               std::memory_order_relaxed);
    activity_.started_ns.store(now, std::memory_order_seq_cst); // pairs with WatchdogBell
    if (deadline_ms != 0) context_.bell.call_began();
}

std::uint64_t Lane::ended(CallResult result) noexcept {
    const std::uint64_t now = monotonic_ns();
    const std::uint64_t took = now - activity_.started_ns.load(std::memory_order_relaxed);
    activity_.result.store(result.result, std::memory_order_relaxed);
    activity_.os_error.store(result.os_error, std::memory_order_relaxed);
    activity_.ended_ns.store(now, std::memory_order_relaxed);
    activity_.started_ns.store(0, std::memory_order_release);
    return took;
}

} // namespace fastrpc::daemon
