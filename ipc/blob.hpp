// The blob of a reverse call: all arguments of one call from the DSP in one buffer (USERSPACE 4.5).
//
//   request: per input  u32 length (unaligned), then, if not 0, padding to 8 and the data
//            per output u32 capacity (unaligned)
//   reply:   per output u32 length, then, if not 0, padding to 8 and the data; length = the capacity asked for
//
// The hosts decode requests and encode replies; the virtual DSP does the opposite. Both sides are untrusted: every
// length is checked against the bytes that are there, and the sum of the capacities is capped because it drives an
// allocation.
#pragma once

#include "base/result.hpp"
#include "ipc/scalars.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace fastrpc {

struct ReverseRequest {
    std::vector<std::span<const std::byte>> inputs; ///< views into the blob
    std::vector<std::uint32_t> capacities;          ///< bytes that each output must have
};

/// Most bytes that the outputs of one reverse call may have together.
inline constexpr std::size_t max_reverse_output = 16U << 20;

/// Views into `blob`, which must outlive them. Fails with ErrorKind::invalid on handles in the scalars, on a length
/// that leaves the blob and on outputs above `max_output` bytes in all. Surplus bytes are allowed: buffers come
/// page-rounded.
Result<ReverseRequest> decode_request(Scalars scalars, std::span<const std::byte> blob,
                                      std::size_t max_output = max_reverse_output);
/// The same into `request`, reusing its memory.
Status decode_request(Scalars scalars, std::span<const std::byte> blob, ReverseRequest& request,
                      std::size_t max_output = max_reverse_output);
std::vector<std::byte> encode_request(std::span<const std::span<const std::byte>> inputs,
                                      std::span<const std::uint32_t> capacities);

/// A reply being filled: `bytes` is the blob, `outputs` are views of its data, each of its full capacity.
struct ReverseReply {
    std::span<std::byte> bytes; ///< in `memory`
    std::vector<std::span<std::byte>> outputs;
    std::vector<std::byte> memory; ///< as large as the largest reply
    std::size_t dirty = 0;         ///< from here on, `memory` is zero

    /// A copy of `bytes`.
    [[nodiscard]] std::vector<std::byte> blob() const { return {bytes.begin(), bytes.end()}; }
};
/// Lays out `reply` for the capacities, reusing its memory, with all outputs zero. `but_last`: the last one still holds
/// bytes of earlier replies, for somebody who overwrites most of it and then calls finish_reply().
void lay_out_reply(std::span<const std::uint32_t> capacities, ReverseReply& reply, bool but_last = false);
/// After lay_out_reply() with `but_last`: the first `filled` bytes of the last output were set, at most; the others
/// become zero. Nothing: the reply is not used, and nobody knows what was written.
void finish_reply(ReverseReply& reply, std::optional<std::size_t> filled);
/// Views of the outputs in `blob`; fails with ErrorKind::invalid unless every length equals its capacity.
Result<std::vector<std::span<const std::byte>>> decode_reply(std::span<const std::uint32_t> capacities,
                                                             std::span<const std::byte> blob);

} // namespace fastrpc
