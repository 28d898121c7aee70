#include "ipc/blob.hpp"

#include "ipc/pack.hpp"

#include <algorithm>
#include <cstring>

namespace fastrpc {
namespace {

constexpr std::size_t word = sizeof(std::uint32_t);

void put_word(std::byte* to, std::uint32_t value) {
    std::memcpy(to, &value, word); // little-endian hosts only, see static_assert in frame.hpp
}

// Walks a blob; take() fails instead of passing the end.
struct Cursor {
    std::span<const std::byte> blob;
    std::size_t at = 0;

    bool take_word(std::uint32_t& value) {
        if (blob.size() - at < word) return false;
        std::memcpy(&value, blob.data() + at, word);
        at += word;
        return true;
    }
    bool take_run(std::uint32_t length, std::span<const std::byte>& run) {
        run = {};
        if (length == 0) return true;
        const std::size_t start = align_up(at, 8);
        if (start > blob.size() || blob.size() - start < length) return false;
        run = blob.subspan(start, length);
        at = start + length;
        return true;
    }
};

std::size_t after(std::size_t at, std::size_t length) {
    at += word;
    return length == 0 ? at : align_up(at, 8) + length;
}

} // namespace

Status decode_request(Scalars scalars, std::span<const std::byte> blob, ReverseRequest& request,
                      std::size_t max_output) {
    request.inputs.clear();
    request.capacities.clear();
    if (scalars.in_handles() + scalars.out_handles() != 0)
        return fail(ErrorKind::invalid, "a reverse call carries handles, which have no form in its blob");
    Cursor cursor{blob};
    std::uint32_t length = 0;
    for (unsigned i = 0; i < scalars.in_buffers(); ++i) {
        std::span<const std::byte> run;
        if (!cursor.take_word(length) || !cursor.take_run(length, run))
            return fail(ErrorKind::invalid, "an input of a reverse call leaves its blob");
        request.inputs.push_back(run);
    }
    std::size_t total = 0;
    for (unsigned i = 0; i < scalars.out_buffers(); ++i) {
        if (!cursor.take_word(length)) return fail(ErrorKind::invalid, "an output of a reverse call has no capacity");
        if (length > max_output - total) return fail(ErrorKind::invalid, "a reverse call asks for too much output");
        total += length;
        request.capacities.push_back(length);
    }
    return {};
}

Result<ReverseRequest> decode_request(Scalars scalars, std::span<const std::byte> blob, std::size_t max_output) {
    ReverseRequest request;
    if (const Status decoded = decode_request(scalars, blob, request, max_output); !decoded)
        return std::unexpected(decoded.error());
    return request;
}

std::vector<std::byte> encode_request(std::span<const std::span<const std::byte>> inputs,
                                      std::span<const std::uint32_t> capacities) {
    std::size_t size = 0;
    for (const auto& input : inputs) size = after(size, input.size());
    std::vector<std::byte> blob(size + capacities.size() * word);
    std::size_t at = 0;
    for (const auto& input : inputs) {
        put_word(blob.data() + at, static_cast<std::uint32_t>(input.size()));
        at = after(at, input.size());
        std::ranges::copy(input, blob.begin() + static_cast<std::ptrdiff_t>(at - input.size()));
    }
    for (const std::uint32_t capacity : capacities) {
        put_word(blob.data() + at, capacity);
        at += word;
    }
    return blob;
}

void lay_out_reply(std::span<const std::uint32_t> capacities, ReverseReply& reply, bool but_last) {
    std::size_t size = 0;
    for (const std::uint32_t capacity : capacities) size = after(size, capacity);
    if (reply.memory.size() < size) reply.memory.resize(size);
    reply.bytes = std::span(reply.memory).first(size);
    reply.outputs.clear();
    const auto clear = [&](std::size_t from, std::size_t to) {
        to = std::min(to, reply.dirty);
        if (from < to) std::memset(reply.bytes.data() + from, 0, to - from);
    };
    std::size_t at = 0;
    for (std::size_t i = 0; i < capacities.size(); ++i) {
        const std::size_t end = after(at, capacities[i]);
        const std::size_t data = end - capacities[i];
        clear(at, but_last && i + 1 == capacities.size() ? data : end);
        put_word(reply.bytes.data() + at, capacities[i]);
        reply.outputs.push_back(reply.bytes.subspan(data, capacities[i]));
        at = end;
    }
    if (!but_last) reply.dirty = std::max(reply.dirty, size);
}

void finish_reply(ReverseReply& reply, std::optional<std::size_t> filled) {
    const std::size_t size = reply.bytes.size();
    if (!filled) {
        reply.dirty = std::max(reply.dirty, size);
        return;
    }
    const std::size_t end = size - reply.outputs.back().size() + *filled;
    const std::size_t stale = std::min(reply.dirty, size);
    if (end < stale) std::memset(reply.bytes.data() + end, 0, stale - end);
    if (reply.dirty <= size) reply.dirty = end;
}

Result<std::vector<std::span<const std::byte>>> decode_reply(std::span<const std::uint32_t> capacities,
                                                             std::span<const std::byte> blob) {
    std::vector<std::span<const std::byte>> outputs;
    Cursor cursor{blob};
    for (const std::uint32_t capacity : capacities) {
        std::uint32_t length = 0;
        std::span<const std::byte> run;
        if (!cursor.take_word(length) || length != capacity || !cursor.take_run(length, run))
            return fail(ErrorKind::invalid, "the reply of a reverse call does not have the outputs asked for");
        outputs.push_back(run);
    }
    return outputs;
}

} // namespace fastrpc
