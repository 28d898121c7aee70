#include "client/lane.hpp"

#include "client/handles.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/core.h>

namespace fastrpc::core {
namespace {

constexpr std::array<std::byte, 8> zeros{};

iovec piece(const void* data, std::size_t size) noexcept {
    return {const_cast<void*>(data), size};
}

} // namespace

Lane::Lane(std::unique_ptr<LaneChannel> channel) :
    channel_(std::move(channel)), head_(new Head), storage_(new std::byte[max_lane_datagram]) {
    static_assert(std::tuple_size_v<decltype(pieces_)> >= 1 + 2 * 255);
}

void Lane::end() noexcept {
    channel_->end();
}

std::unexpected<Error> Lane::broken(std::string text) {
    dead_ = true;
    end();
    return fail(ErrorKind::protocol, "the host answered a call wrongly, its lane ends: " + text);
}

// Fills in head_ and pieces_.
std::span<const iovec> Lane::gather(std::uint32_t handle, Scalars scalars, std::span<const fastrpc_arg> args,
                                    InlineBytes bytes) {
    head_->request = {handle, scalars.word, static_cast<std::uint32_t>(bytes.in), 0};
    pieces_[0] = piece(head_.get(), sizeof(InvokeRequest) + args.size() * sizeof(ArgumentDescriptor));
    std::size_t count = 1;
    for (std::size_t i = 0; i < args.size(); ++i) {
        const fastrpc_arg& arg = args[i];
        // A handle stands for its buffer, also without a byte of it.
        if (arg.buffer != nullptr && (arg.size != 0 || i >= scalars.buffers())) {
            head_->descriptors[i] = {arg.buffer->id, 0, arg.offset, arg.size};
            continue;
        }
        head_->descriptors[i] = {0, 0, 0, arg.size};
        if (i >= scalars.in_buffers() || arg.size == 0) continue;
        pieces_[count++] = piece(arg.data, arg.size);
        if (const std::size_t pad = padded(arg.size) - arg.size; pad != 0) pieces_[count++] = piece(zeros.data(), pad);
    }
    return std::span(pieces_).first(count);
}

Status Lane::send(LaneOp op, std::span<const iovec> pieces) {
    Status sent = channel_->send({.opcode = static_cast<std::uint16_t>(op), .cookie = ++cookie_}, pieces);
    if (!sent && sent.error().os_error != EFAULT) dead_ = true;
    return sent;
}

Result<Frame> Lane::receive_reply(LaneOp op) {
    auto frame = channel_->receive({storage_.get(), max_lane_datagram});
    if (!frame) {
        if (frame.error().kind == ErrorKind::protocol) return broken(frame.error().text);
        dead_ = true; // a reply that was not read would be taken for the next call's
        return frame;
    }
    const FrameHeader& header = frame->header;
    if (header.opcode != static_cast<std::uint16_t>(op) || header.flags != frame_reply || header.cookie != cookie_)
        return broken(fmt::format("opcode {} flags {:#x} cookie {}, expected a reply to opcode {} cookie {}",
                                  header.opcode, header.flags, header.cookie, static_cast<unsigned>(op), cookie_));
    if (header.status != 0) return std::unexpected(error_of(*frame));
    return frame;
}

// Copies the inline outputs; their sum was checked.
void Lane::deliver(std::span<const std::byte> data, Scalars scalars, std::span<const fastrpc_arg> args) {
    std::size_t at = 0;
    for (const fastrpc_arg& arg : args.subspan(scalars.in_buffers(), scalars.out_buffers())) {
        if (arg.buffer != nullptr || arg.size == 0) continue;
        std::memcpy(arg.data, data.data() + at, arg.size);
        at += padded(arg.size);
    }
}

Result<InvokeReply> Lane::invoke(std::uint32_t handle, Scalars scalars, std::span<const fastrpc_arg> args,
                                 InlineBytes bytes) {
    if (Status sent = send(LaneOp::invoke, gather(handle, scalars, args, bytes)); !sent) {
        if (sent.error().os_error != EFAULT) return std::unexpected(std::move(sent.error()));
        return fail(ErrorKind::invalid, "an input of the call is not readable memory", EFAULT);
    }
    auto frame = receive_reply(LaneOp::invoke);
    if (!frame) return std::unexpected(std::move(frame.error()));
    InvokeReply reply{};
    if (frame->payload.size() < sizeof reply) return broken("its answer is too short");
    std::memcpy(&reply, frame->payload.data(), sizeof reply);
    const auto data = frame->payload.subspan(sizeof reply);
    // A call that failed may come without its outputs: then they stay as they were.
    const bool without = data.empty() && reply.result != 0;
    if (reply.inline_bytes != data.size() || (data.size() != bytes.out && !without))
        return broken(fmt::format("it says {} bytes of outputs, has {}, and {} were asked for", reply.inline_bytes,
                                  data.size(), bytes.out));
    if (!without) deliver(data, scalars, args);
    return reply;
}

// A request that is no call, and its reply.
Result<Frame> Lane::exchange(LaneOp op, std::span<const std::byte> payload) {
    const iovec whole = piece(payload.data(), payload.size());
    if (Status sent = send(op, {&whole, 1}); !sent) return std::unexpected(std::move(sent.error()));
    return receive_reply(op);
}

Result<ModuleAnswer> Lane::ask(LaneOp op, std::span<const std::byte> payload) {
    auto frame = exchange(op, payload);
    if (!frame) return std::unexpected(std::move(frame.error()));
    ModuleAnswer answer;
    if (frame->payload.size() < sizeof answer.reply) return broken("its answer about a module is too short");
    std::memcpy(&answer.reply, frame->payload.data(), sizeof answer.reply);
    const auto text = frame->payload.subspan(sizeof answer.reply);
    answer.text.assign(reinterpret_cast<const char*>(text.data()), text.size());
    // The DSP fills a fixed field; what follows its first NUL is padding.
    if (const auto end = answer.text.find('\0'); end != std::string::npos) answer.text.resize(end);
    return answer;
}

Result<ModuleAnswer> Lane::open_module(std::string_view uri) {
    const std::string with_nul(uri);
    return ask(LaneOp::open_module, std::as_bytes(std::span(with_nul.c_str(), with_nul.size() + 1)));
}

Result<ModuleAnswer> Lane::close_module(std::uint32_t handle) {
    const ModuleHandle request{handle, 0};
    return ask(LaneOp::close_module, std::as_bytes(std::span(&request, 1)));
}

Result<MapReply> Lane::ask_map(LaneOp op, std::span<const std::byte> payload) {
    auto frame = exchange(op, payload);
    if (!frame) return std::unexpected(std::move(frame.error()));
    MapReply reply{};
    if (frame->payload.size() != sizeof reply) return broken("its answer about a mapping has a wrong size");
    std::memcpy(&reply, frame->payload.data(), sizeof reply);
    return reply;
}

Result<MapReply> Lane::map_buffer(const MapRequest& request) {
    return ask_map(LaneOp::map_buffer, std::as_bytes(std::span(&request, 1)));
}

Result<MapReply> Lane::unmap_buffer(std::uint32_t id) {
    const BufferId request{id, 0};
    return ask_map(LaneOp::unmap_buffer, std::as_bytes(std::span(&request, 1)));
}

} // namespace fastrpc::core
