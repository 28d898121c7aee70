#include "daemon/host/call_plan.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/core.h>
#include <limits>

namespace fastrpc::daemon {
namespace {

std::unexpected<Error> refuse(ErrorKind kind, std::string text) {
    return fail(kind, std::move(text));
}

} // namespace

Status CallPlan::prepare(std::span<std::byte> payload) {
    release();
    input_bytes_ = output_bytes_ = ranges_used_ = 0;
    bytes_ = 0;
    if (Status status = check_header(payload); !status) return status;
    if (!modules_.pin(request_.handle, dsp_handle_))
        return refuse(ErrorKind::not_found, fmt::format("no open module has the handle {:#x}", request_.handle));
    module_pinned_ = true;

    const std::size_t count = scalars().arguments();
    inputs_ = payload.subspan(sizeof request_ + count * sizeof(ArgumentDescriptor));
    for (std::size_t i = 0; i < count; ++i) {
        ArgumentDescriptor descriptor;
        std::memcpy(&descriptor, payload.data() + sizeof request_ + i * sizeof descriptor, sizeof descriptor);
        Status status;
        if (descriptor.reserved != 0)
            status = refuse(ErrorKind::invalid, fmt::format("argument {}: the reserved field is not 0", i));
        else if (i >= scalars().buffers())
            status = add_handle(i, descriptor);
        else
            status = descriptor.buffer == 0 ? add_inline(i, descriptor) : add_buffer(i, descriptor);
        if (!status) {
            release();
            return status;
        }
    }
    Status status;
    if (input_bytes_ != inputs_.size())
        status = refuse(ErrorKind::protocol, fmt::format("the inline inputs are {} bytes by their descriptors, {} came",
                                                         input_bytes_, inputs_.size()));
    else
        status = check_disjoint();
    if (!status) {
        release();
        return status;
    }
    for (const Argument& handle : arguments().subspan(scalars().buffers())) buffers_.lend(handle.buffer);
    std::memset(outputs_.data(), 0, output_bytes_); // nothing of an earlier call may show through a short answer
    see_method();
    return {};
}

void CallPlan::release() noexcept {
    if (module_pinned_) modules_.unpin(request_.handle);
    module_pinned_ = false;
    while (pins_ > 0) buffers_.unpin(pinned_[--pins_]);
}

Status CallPlan::check_header(std::span<const std::byte> payload) {
    if (payload.size() < sizeof request_)
        return refuse(ErrorKind::protocol, fmt::format("an invoke of {} bytes is too short", payload.size()));
    std::memcpy(&request_, payload.data(), sizeof request_);
    if (scalars().arguments() != scalars().buffers() && !buffers_.takes_handles())
        return refuse(ErrorKind::unsupported,
                      "the driver of this DSP (QDA) drops handles among the arguments: pass the buffers themselves");
    if (scalars().attribute() != 0)
        return refuse(ErrorKind::unsupported, "the attribute bits of the scalars must be 0");
    const std::size_t expected =
        sizeof request_ + scalars().arguments() * sizeof(ArgumentDescriptor) + std::size_t{request_.inline_bytes};
    if (payload.size() != expected)
        return refuse(ErrorKind::protocol,
                      fmt::format("an invoke with {} arguments and {} inline bytes has {} bytes, not {}",
                                  scalars().arguments(), request_.inline_bytes, payload.size(), expected));
    if (request_.inline_bytes > max_inline)
        return refuse(ErrorKind::invalid, fmt::format("{} inline input bytes, at most {} fit: use a buffer",
                                                      request_.inline_bytes, max_inline));
    return {};
}

Status CallPlan::add_inline(std::size_t index, const ArgumentDescriptor& descriptor) {
    const bool input = index < scalars().in_buffers();
    if (descriptor.offset != 0)
        return refuse(ErrorKind::invalid, fmt::format("argument {}: an inline argument has no offset", index));
    // First by itself, so that padding and sum can't wrap.
    std::size_t& used = input ? input_bytes_ : output_bytes_;
    if (descriptor.length > max_inline || padded(descriptor.length) > max_inline - used)
        return refuse(ErrorKind::invalid, fmt::format("argument {}: more than {} inline {} bytes: use a buffer", index,
                                                      max_inline, input ? "input" : "output"));
    if (input && used + padded(descriptor.length) > inputs_.size())
        return refuse(ErrorKind::protocol, fmt::format("argument {}: {} bytes of it are missing", index,
                                                       used + padded(descriptor.length) - inputs_.size()));
    std::byte* const place = (input ? inputs_.data() : outputs_.data()) + used;
    arguments_[index] = {descriptor.length == 0 ? nullptr : place, descriptor.length};
    used += padded(descriptor.length);
    bytes_ += descriptor.length;
    return {};
}

Status CallPlan::pin_range(std::size_t index, const ArgumentDescriptor& descriptor) {
    std::uint64_t size = 0;
    if (!buffers_.pin(descriptor.buffer, size)) {
        Error error = buffers_.why_not(descriptor.buffer);
        return refuse(error.kind, fmt::format("argument {}: {}", index, error.text));
    }
    pinned_[pins_++] = descriptor.buffer;
    if (descriptor.offset > size || descriptor.length > size - descriptor.offset)
        return refuse(ErrorKind::invalid,
                      fmt::format("argument {}: {} bytes at offset {} leave buffer {:#x} of {} bytes", index,
                                  descriptor.length, descriptor.offset, descriptor.buffer, size));
    return {};
}

Status CallPlan::add_handle(std::size_t index, const ArgumentDescriptor& descriptor) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    if (descriptor.buffer == 0)
        return refuse(ErrorKind::invalid, fmt::format("argument {}: a handle is a buffer, never inline", index));
    if (descriptor.offset > most || descriptor.length > most)
        return refuse(ErrorKind::invalid, fmt::format("argument {}: a handle has 32 bits for offset and length, not "
                                                      "{} and {}",
                                                      index, descriptor.offset, descriptor.length));
    if (Status pinned = pin_range(index, descriptor); !pinned) return pinned;
    arguments_[index] = {nullptr, descriptor.length, descriptor.buffer, descriptor.offset};
    return {};
}

Status CallPlan::add_buffer(std::size_t index, const ArgumentDescriptor& descriptor) {
    if (Status pinned = pin_range(index, descriptor); !pinned) return pinned;
    if (descriptor.length == 0) {
        arguments_[index] = {}; // nothing to map
        return {};
    }
    arguments_[index] = {nullptr, descriptor.length, descriptor.buffer, descriptor.offset};
    ranges_[ranges_used_++] = {descriptor.buffer, descriptor.offset, descriptor.offset + descriptor.length};
    bytes_ += descriptor.length;
    return {};
}

// Inline arguments are disjoint by construction and lie in other memory. Overlapping mapped ones confuse the driver's
// own placement (KERNEL 1.17).
Status CallPlan::check_disjoint() {
    const std::span<Range> used = std::span(ranges_).first(ranges_used_);
    std::ranges::sort(used, [](const Range& a, const Range& b) {
        return a.buffer != b.buffer ? a.buffer < b.buffer : a.begin < b.begin;
    });
    for (std::size_t i = 1; i < used.size(); ++i)
        if (used[i].buffer == used[i - 1].buffer && used[i].begin < used[i - 1].end)
            return refuse(ErrorKind::invalid, "two arguments overlap in a buffer: give each its own range");
    return {};
}

void CallPlan::see_method() noexcept {
    method_ = scalars().method();
    if (method_ != extended_method || scalars().in_buffers() == 0) return;
    const Argument& first = arguments_[0];
    if (first.buffer == 0 && first.length >= sizeof method_) std::memcpy(&method_, first.data, sizeof method_);
}

} // namespace fastrpc::daemon
