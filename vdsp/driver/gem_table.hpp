// The GEM objects of one open accel file: handles, their memory, and where mmap() finds it (KERNEL 2.4).
#pragma once

#include "vdsp/driver/buffers.hpp"

#include <cstdint>
#include <expected>
#include <map>
#include <mutex>

namespace fastrpc::vdsp {

class GemTable {
public:
    explicit GemTable(BufferRegistry& buffers) : buffers_(buffers) {}

    /// A new object of `size` bytes, which is not 0; the lowest free handle. ENOMEM.
    std::expected<std::uint32_t, int> create(std::uint64_t size);
    /// The handle of a dma-buf: the one that it has already, or a new one. EINVAL for any other file.
    std::expected<std::uint32_t, int> import(int fd);
    /// False: there is none. Mappings and fds of it live on.
    bool close(std::uint32_t handle);

    /// A copy of the object's fd, with the rights of `flags` (O_RDWR or O_RDONLY); -1: no such handle.
    [[nodiscard]] UniqueFd open(std::uint32_t handle, int flags) const;
    /// Where mmap() finds the object. ENOENT; EINVAL for an imported one, if `own_alone`.
    std::expected<std::uint64_t, int> offset_of(std::uint32_t handle, bool own_alone);
    /// The memory that begins at `offset` and has `length` bytes at least; an fd of our own, or -1.
    [[nodiscard]] UniqueFd at(std::uint64_t offset, std::uint64_t length) const;

private:
    struct Object {
        UniqueFd fd;
        std::uint64_t inode = 0;
        std::uint64_t size = 0;
        std::uint64_t offset = 0; ///< 0: nobody asked yet
        bool imported = false;
    };
    std::uint32_t add(Object object);

    BufferRegistry& buffers_;
    mutable std::mutex mutex_;
    std::map<std::uint32_t, Object> objects_;
    std::uint64_t next_offset_ = std::uint64_t{1} << 32; ///< as the DRM core counts: above 32 bits
};

} // namespace fastrpc::vdsp
