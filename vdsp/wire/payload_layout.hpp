// The payload of a call as the kernel builds and reads it back (KERNEL 1.11.5): where each argument lies.
//
// Arguments are walked in the order of their addresses, so that overlapping inline arguments share bytes in the payload
// as they do in the caller. Nothing here reads the caller's memory or knows of sockets.
#pragma once

#include "base/result.hpp"
#include "ipc/scalars.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

/// One argument of the caller, after its dma-buf (if any) was mapped.
struct LayoutArgument {
    std::uint64_t pointer = 0;  ///< caller's address; handles: the offset, of which the low 32 bits are sent
    std::uint64_t length = 0;   ///< bytes
    std::int32_t fd = -1;       ///< as the caller gave it; sent verbatim in handle entries
    bool plain = false;         ///< handles: written as {pointer, length}, as the accel driver's RFC does (KERNEL 2.4)
    bool mapped = false;        ///< by a dma-buf; never with length 0
    std::uint64_t dma = 0;      ///< mapped: DMA address of the mapping, SID included
    std::uint64_t dma_size = 0; ///< mapped: bytes of the whole dma-buf, which handle entries carry
    std::optional<std::uint64_t> vma_start; ///< mapped buffers: start of the caller's VMA that holds `pointer`
};

/// Where one buffer went.
struct Placement {
    bool present = false;     ///< inline with length > 0
    bool outside = false;     ///< the kernel would write outside the payload (KERNEL 1.17, mixed overlap)
    std::uint64_t offset = 0; ///< inline: of the first byte in the payload
    std::uint64_t length = 0; ///< as the caller gave it
    std::uint64_t fresh = 0;  ///< inline: where the bytes begin that no argument before has; offset + overlap
};

struct PayloadLayout {
    Scalars scalars;
    std::vector<Placement> placements; ///< one per buffer
    std::vector<std::uint32_t> order;  ///< of the walk: by start, and of equal starts the longer first
    std::uint64_t size = 0;            ///< bytes in use; the wire's size field is this rounded up to 4096

    /// A buffer has a place outside the payload: a real kernel corrupts itself.
    [[nodiscard]] bool outside() const noexcept;
};

/// What a payload is addressed by.
struct PayloadPlace {
    std::uint64_t dma = 0;    ///< DMA address, SID included, page-aligned
    std::uint64_t kernel = 0; ///< the kernel's own address of it, page-aligned; the DSP only uses its low 12 bits
};

/// Largest payload that the emulated DMA allocator gives.
inline constexpr std::uint64_t max_payload = std::uint64_t{256} << 20;

/// ErrorKind::invalid when the count of arguments is not that of the scalars, ErrorKind::quota (ENOMEM) when the
/// payload would be over max_payload or an argument wraps around the address space.
Result<PayloadLayout> lay_out(Scalars scalars, std::span<const LayoutArgument> arguments);
/// The same into memory that is used again.
Status lay_out(Scalars scalars, std::span<const LayoutArgument> arguments, PayloadLayout& layout);

/// Fills `payload` with zeros, but for the bytes that the inputs will cover.
void clear_payload(const PayloadLayout& layout, std::span<std::byte> payload);
/// Writes all tables into `payload`, which is zero-filled, `layout.size` bytes at least, and lies at `place`.
/// `unmasked`: as 6.1 did, whose pages of mapped arguments begin inside a page and whose sizes of inline ones are
/// counted from the wrong end (KERNEL 1.11.5, version notes).
void write_tables(const PayloadLayout& layout, std::span<const LayoutArgument> arguments, PayloadPlace place,
                  std::span<std::byte> payload, bool unmasked = false);
/// Where the data of inline buffer `index` goes, or comes from; empty when it is not inline.
std::span<std::byte> inline_bytes(const PayloadLayout& layout, std::size_t index, std::span<std::byte> payload);

/// One output to copy back to the caller, as the payload says at completion.
struct Delivery {
    std::size_t index = 0;            ///< of the argument
    std::span<const std::byte> bytes; ///< in the payload; as long as the DSP wants, not as the caller declared
};

/// Reads pv and length of every output without mapping again, as the kernel does. ErrorKind::invalid when the DSP made
/// one leave `payload`, whose size is that of the whole pages: a real kernel would copy what lies behind it.
Result<std::vector<Delivery>> deliveries(const PayloadLayout& layout, std::span<const LayoutArgument> arguments,
                                         PayloadPlace place, std::span<const std::byte> payload);
/// The same into memory that is used again; `outputs` gains what was found before the error.
Status deliveries(const PayloadLayout& layout, std::span<const LayoutArgument> arguments, PayloadPlace place,
                  std::span<const std::byte> payload, std::vector<Delivery>& outputs);
/// fds that the DSP gives back, up to the first 0.
std::vector<std::uint64_t> fd_list(Scalars scalars, std::span<const std::byte> payload);

} // namespace fastrpc::vdsp
