#include "vdsp/driver/buffers.hpp"

#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>

namespace fastrpc::vdsp {

namespace {
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30;
}

Result<UniqueFd> make_memory(const char* name, std::uint64_t size) {
    if (size == 0 || size > most_bytes)
        return fail(ErrorKind::quota, "the DMA allocator gives 1 byte to 1 GiB", ENOMEM);
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail_errno("memfd_create", errno);
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return fail_errno("size of a memfd", errno);
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return fail_errno("seals of a memfd", errno);
    return fd;
}

Result<UniqueFd> BufferRegistry::allocate(std::uint64_t size, BufferKind kind) {
    auto fd = make_memory("fastrpc-vdsp-buffer", size);
    if (!fd) return fd;
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return fail_errno("fstat of a new buffer", errno);
    const std::lock_guard lock(mutex_);
    device_ = status.st_dev;
    buffers_[status.st_ino] = {.inode = status.st_ino, .size = size, .kind = kind};
    return fd;
}

std::optional<BufferInfo> BufferRegistry::find(int fd) const {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    const std::shared_lock lock(mutex_);
    if (status.st_dev != device_) return std::nullopt;
    const auto found = buffers_.find(status.st_ino);
    if (found == buffers_.end()) return std::nullopt;
    return found->second;
}

std::size_t BufferRegistry::allocated() const {
    const std::shared_lock lock(mutex_);
    return buffers_.size();
}

} // namespace fastrpc::vdsp
