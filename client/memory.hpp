// The memory of a buffer in this program: its mapping, and what the CPU's caches need.
#pragma once

#include "base/result.hpp"
#include "client/handles.hpp"

#include <cstddef>
#include <cstdint>

namespace fastrpc::core {

/// The file's size, or 0 where it does not tell.
std::uint64_t size_of(int fd) noexcept;

/// Has the host allocate `size` bytes and maps them. Fills in all of `buffer` but `core`; on failure the host has it
/// back. A lack of memory in the grant (ErrorKind::quota) is not the last word: see ArenaPool::trim().
Status make_memory(Session& session, std::size_t size, fastrpc_buffer& buffer);
/// Unmaps the memory and gives it back to the host, which may refuse.
Status free_memory(Session& session, fastrpc_buffer& buffer);

/// Begins or ends the CPU's access (FASTRPC_READ, FASTRPC_WRITE) where caches are not coherent; else nothing.
Status sync_memory(const fastrpc_buffer& buffer, std::uint32_t access, bool begin);

} // namespace fastrpc::core
