#include "client/memory.hpp"

#include "client/session.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::core {

static_assert(FASTRPC_READ == DMA_BUF_SYNC_READ && FASTRPC_WRITE == DMA_BUF_SYNC_WRITE);

std::uint64_t size_of(int fd) noexcept {
    const off_t end = ::lseek(fd, 0, SEEK_END);
    return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

Status make_memory(Session& session, std::size_t size, fastrpc_buffer& buffer) {
    auto fresh = session.allocate(size);
    if (!fresh) return std::unexpected(std::move(fresh.error()));
    buffer.id = fresh->id;
    buffer.size = size;
    buffer.fd = std::move(fresh->fd);
    buffer.needs_sync = fresh->needs_sync;
    // Touching a mapping beyond the end of its file would kill the program.
    void* data = size_of(buffer.fd.get()) < size
                     ? (errno = EOVERFLOW, MAP_FAILED)
                     : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd.get(), 0);
    if (data == MAP_FAILED) {
        const int os_error = errno;
        (void)free_memory(session, buffer); // the mapping's failure is the news
        return fail_errno(fmt::format("mapping a buffer of {} bytes", size), os_error);
    }
    buffer.data = data;
    return {};
}

Status free_memory(Session& session, fastrpc_buffer& buffer) {
    if (buffer.data != nullptr) ::munmap(std::exchange(buffer.data, nullptr), buffer.size);
    buffer.fd.reset();
    return session.free_buffer(std::exchange(buffer.id, 0));
}

Status sync_memory(const fastrpc_buffer& buffer, std::uint32_t access, bool begin) {
    if (!buffer.needs_sync) return {};
    dma_buf_sync sync{};
    sync.flags = access | (begin ? DMA_BUF_SYNC_START : DMA_BUF_SYNC_END);
    int result = 0;
    // The kernel asks to repeat it also on EAGAIN.
    do result = ::ioctl(buffer.fd.get(), DMA_BUF_IOCTL_SYNC, &sync);
    while (result != 0 && (errno == EINTR || errno == EAGAIN));
    if (result != 0) return fail_errno("DMA_BUF_IOCTL_SYNC", errno);
    return {};
}

} // namespace fastrpc::core
