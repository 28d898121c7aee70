#include "daemon/device/heap.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace fastrpc::daemon {
namespace {

// <linux/dma-heap.h> and <linux/dma-buf.h>, restated as in misc_abi.hpp.
struct HeapAllocation {
    std::uint64_t length;
    std::uint32_t fd;
    std::uint32_t fd_flags;
    std::uint64_t heap_flags;
};
static_assert(sizeof(HeapAllocation) == 24);
constexpr unsigned long heap_allocate = _IOWR('H', 0, HeapAllocation);
static_assert(heap_allocate == 0xC0184800);

constexpr unsigned long buffer_sync = _IOW('b', 0, std::uint64_t);
static_assert(buffer_sync == 0x40086200);
constexpr std::uint64_t sync_write = 2;
constexpr std::uint64_t sync_end = 4;

constexpr long dma_buf_magic = 0x444d4142;

Status sync(int fd, std::uint64_t flags) {
    while (::ioctl(fd, buffer_sync, &flags) != 0)
        if (errno != EINTR && errno != EAGAIN) return fail_errno("DMA_BUF_IOCTL_SYNC", errno);
    return {};
}

class DmaHeap final : public Heap {
public:
    DmaHeap(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Result<UniqueFd> allocate(std::uint64_t size) override {
        HeapAllocation request{size, 0, O_RDWR | O_CLOEXEC, 0};
        if (::ioctl(fd_.get(), heap_allocate, &request) != 0)
            return fail_errno(fmt::format("allocating {} bytes from {}", size, path_), errno);
        UniqueFd buffer(static_cast<int>(request.fd));
        // Whatever the heap gave, no length above its real size may ever be used (KERNEL 1.17).
        const Result<std::uint64_t> real = dma_buf_size(buffer.get());
        if (!real) return std::unexpected(real.error());
        if (*real < size)
            return fail(ErrorKind::system, fmt::format("{} gave {} bytes where {} were asked for", path_, *real, size));
        return buffer;
    }

    bool is_dma_buf(int fd) const override { return daemon::is_dma_buf(fd); }
    Status begin_write(int fd) override { return sync(fd, sync_write); }
    Status end_write(int fd) override { return sync(fd, sync_write | sync_end); }

private:
    UniqueFd fd_;
    std::string path_;
};

} // namespace

Result<std::unique_ptr<Heap>> open_dma_heap(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd)
        return fail(ErrorKind::system,
                    fmt::format("opening the dma-heap {}: {}; buffers come from it: enable it in the kernel and let "
                                "the host's group open it",
                                path, errno_text(errno)),
                    errno);
    return std::make_unique<DmaHeap>(std::move(fd), path);
}

bool is_dma_buf(int fd) {
    struct statfs info {};
    return ::fstatfs(fd, &info) == 0 && info.f_type == dma_buf_magic;
}

Result<std::uint64_t> dma_buf_size(int fd) {
    const off_t size = ::lseek(fd, 0, SEEK_END);
    if (size < 0) return fail_errno("asking a dma-buf for its size", errno);
    return static_cast<std::uint64_t>(size);
}

} // namespace fastrpc::daemon
