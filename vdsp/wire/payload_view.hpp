// The payload of a call as the DSP reads it (KERNEL 1.11.5).
//
//   argument table 16 N | invoke-buf list 8 N | page list 16 N | fd list 128 | CRC list 256 | inline data
//
// The bytes are untrusted: they may come from a kernel that a client fed with garbage, and live in memory that others
// write to. Every value is read once and checked before it is handed out.
#pragma once

#include "base/result.hpp"
#include "ipc/scalars.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

inline constexpr std::uint64_t page_bytes = 4096;
/// fds that the DSP can name in one answer; the list ends at the first 0.
inline constexpr std::size_t fd_list_entries = 16;

/// First byte of the fd list: 16 u64 entries.
constexpr std::size_t fd_list_offset(Scalars scalars) noexcept {
    return std::size_t{40} * scalars.arguments();
}
/// Bytes of all tables; the inline data begins at the next multiple of 128.
constexpr std::size_t meta_bytes(Scalars scalars) noexcept {
    return fd_list_offset(scalars) + 128 + 256;
}

/// One argument of a call.
struct PayloadArgument {
    std::uint64_t pv = 0;        ///< buffers: the caller's or the kernel's address; only its low 12 bits mean something
    std::uint64_t length = 0;    ///< bytes
    std::uint64_t page = 0;      ///< DMA address of the first page, SID included; 0 when length is 0 or unmapped
    std::uint64_t page_size = 0; ///< bytes; buffers: whole pages that cover the argument; handles: the whole dma-buf
    std::int32_t fd = -1;        ///< handles: the caller's fd number
    std::uint32_t offset = 0;    ///< handles: first byte within the dma-buf
    bool handle = false;
};

/// DMA address of the first byte: of a buffer by its page and pv, of a handle by its page and offset.
constexpr std::uint64_t first_byte(const PayloadArgument& argument) noexcept {
    return argument.handle ? argument.page + argument.offset : argument.page + (argument.pv & (page_bytes - 1));
}

/// All arguments in the order of the scalars: input buffers, output buffers, input handles, output handles.
/// ErrorKind::invalid when the tables do not fit `payload`, a page index leaves the page list, a buffer leaves its
/// pages, or an address wraps around. `payload` is at least meta_bytes(); whether DMA addresses exist is the caller's
/// to check.
Result<std::vector<PayloadArgument>> view_payload(Scalars scalars, std::span<const std::byte> payload);
/// The same into `arguments`, whose room is used again.
Status view_payload(Scalars scalars, std::span<const std::byte> payload, std::vector<PayloadArgument>& arguments);

} // namespace fastrpc::vdsp
