// The guest OS's own accesses to DMA memory: payloads and bodies of kernel calls, shell files.
//
// By pread and pwrite and never through a mapping: a client may shorten its buffer at any moment, which must not end
// the server.
#pragma once

#include "base/result.hpp"
#include "vdsp/channel.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

/// The bytes at [address, address + length); they must lie in one window. ErrorKind::invalid when the DSP's MMU would
/// fault, ErrorKind::system when the memory refuses.
Result<std::vector<std::byte>> read_dma(Machine& machine, std::uint64_t address, std::uint64_t length);
Status write_dma(Machine& machine, std::uint64_t address, std::span<const std::byte> bytes);

/// Bytes of a buffer argument, which view_payload() keeps within its pages; ErrorKind::invalid above `most` bytes.
Result<std::vector<std::byte>> read_argument(Machine& machine, const PayloadArgument& argument, std::uint64_t most);
/// Fills the output argument; its length must be that of `bytes` or more.
Status write_argument(Machine& machine, const PayloadArgument& argument, std::span<const std::byte> bytes);

} // namespace fastrpc::vdsp
