// Virtual dma-bufs: sealed memfds that the server made and vouches for.
//
// A memfd's inode number is never given twice while the system runs, so the number alone tells a buffer of ours from
// any other file, whoever holds it; the server keeps no fd of it. Any thread may call.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

namespace fastrpc::vdsp {

enum class BufferKind : std::uint8_t { heap = 1, driver = 2 };

struct BufferInfo {
    std::uint64_t inode = 0;
    std::uint64_t size = 0; ///< bytes, as lseek(SEEK_END) says
    BufferKind kind = BufferKind::heap;
};

/// A sealed memfd of `size` bytes, close-on-exec. Fails with ErrorKind::quota for 0 bytes and above 1 GiB, as the DMA
/// allocator would.
Result<UniqueFd> make_memory(const char* name, std::uint64_t size);

class BufferRegistry {
public:
    Result<UniqueFd> allocate(std::uint64_t size, BufferKind kind);
    /// What is known of `fd`; nothing when it is not a buffer of ours.
    [[nodiscard]] std::optional<BufferInfo> find(int fd) const;
    [[nodiscard]] std::size_t allocated() const;

private:
    mutable std::shared_mutex mutex_;
    std::uint64_t device_ = 0; ///< of the file system that memfds live in
    std::unordered_map<std::uint64_t, BufferInfo> buffers_;
};

} // namespace fastrpc::vdsp
