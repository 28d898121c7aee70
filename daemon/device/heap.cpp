#include "daemon/device/heap.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/memfd.h>
#include <optional>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

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

// <linux/udmabuf.h>.
struct UdmabufCreate {
    std::uint32_t memory;
    std::uint32_t flags;
    std::uint64_t offset;
    std::uint64_t size;
};
static_assert(sizeof(UdmabufCreate) == 24);
constexpr unsigned long udmabuf_create = _IOW('u', 0x42, UdmabufCreate);
static_assert(udmabuf_create == 0x40187542);
constexpr std::uint32_t udmabuf_cloexec = 1;
constexpr std::uint64_t huge_page = 2U << 20;

constexpr unsigned long buffer_sync = _IOW('b', 0, std::uint64_t);
static_assert(buffer_sync == 0x40086200);
constexpr std::uint64_t sync_read = 1;
constexpr std::uint64_t sync_write = 2;
constexpr std::uint64_t sync_end = 4;

constexpr long dma_buf_magic = 0x444d4142;

Status sync(int fd, std::uint64_t flags) {
    while (::ioctl(fd, buffer_sync, &flags) != 0)
        if (errno != EINTR && errno != EAGAIN) return fail_errno("DMA_BUF_IOCTL_SYNC", errno);
    return {};
}

/// What the kernel remembers of a file, without a question to its file system.
std::optional<struct statx> look_at(int fd) {
    struct statx status {};
    if (::syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0) return std::nullopt;
    return status;
}

/// An fd that leads to a file, not only to its name.
bool is_open(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_PATH) == 0;
}

/// A heap behind a node; what it makes is checked here.
class NodeHeap : public Heap {
public:
    NodeHeap(Kernel& kernel, UniqueFd fd, std::string path) :
        kernel_(kernel), fd_(std::move(fd)), path_(std::move(path)) {}

    Result<UniqueFd> allocate(std::uint64_t size) override {
        Result<UniqueFd> buffer = make(size);
        if (!buffer) return buffer;
        // Whatever the heap gave, no length above its real size may ever be used (KERNEL 1.17).
        const Result<std::uint64_t> real = dma_buf_size(buffer->get());
        if (!real) return std::unexpected(real.error());
        if (*real < size)
            return fail(ErrorKind::system, fmt::format("{} gave {} bytes where {} were asked for", path_, *real, size));
        return buffer;
    }

    bool is_dma_buf(int fd) override {
        if (!sample_) { // a page that tells where dma-bufs live; only sessions whose clients bring buffers need it
            Result<UniqueFd> made = make(page_size());
            if (!made) return false;
            sample_ = std::move(*made);
        }
        return daemon::is_dma_buf(fd, sample_.get());
    }
    Status begin_write(int fd) override { return sync(fd, sync_write); }
    Status end_write(int fd) override { return sync(fd, sync_write | sync_end); }

protected:
    virtual Result<UniqueFd> make(std::uint64_t size) = 0;
    [[nodiscard]] int ask(unsigned long code, void* request) { return kernel_.ioctl(fd_.get(), code, request); }
    [[nodiscard]] std::unexpected<Error> failed(std::uint64_t size, const char* step, int os_error) const {
        return fail_errno(fmt::format("allocating {} bytes from {}: {}", size, path_, step), os_error);
    }

private:
    Kernel& kernel_;
    UniqueFd fd_;
    std::string path_;
    UniqueFd sample_; ///< any dma-buf
};

class DmaHeap final : public NodeHeap {
    using NodeHeap::NodeHeap;
    Result<UniqueFd> make(std::uint64_t size) override {
        HeapAllocation request{size, 0, O_RDWR | O_CLOEXEC, 0};
        if (ask(heap_allocate, &request) != 0) return failed(size, "DMA_HEAP_IOCTL_ALLOC", errno);
        return UniqueFd(static_cast<int>(request.fd));
    }
};

class UdmabufHeap final : public NodeHeap {
    using NodeHeap::NodeHeap;
    Result<UniqueFd> make(std::uint64_t size) override {
        const std::uint64_t whole = round_up(size, page_size());
        if (whole > page_size()) { // one page is contiguous anyway
            Result<UniqueFd> huge = wrap(round_up(whole, huge_page), whole, MFD_HUGETLB | MFD_HUGE_2MB);
            if (huge) return huge; // else the machine has none left, or its udmabuf knows none
        }
        return wrap(whole, whole, 0);
    }

    /// A dma-buf of `size` bytes of a memory file of `file_size`, which it keeps.
    Result<UniqueFd> wrap(std::uint64_t file_size, std::uint64_t size, unsigned flags) {
        const UniqueFd memory(::memfd_create("fastrpc-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
        if (!memory) return failed(size, "memfd_create", errno);
        // Huge pages are taken here: a file that lacks them would be found out by a fault of the DSP.
        const auto length = static_cast<off_t>(file_size);
        if (::ftruncate(memory.get(), length) != 0 || (flags != 0 && ::fallocate(memory.get(), 0, 0, length) != 0))
            return failed(size, "sizing the memory file", errno);
        if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return failed(size, "F_SEAL_SHRINK", errno);
        UdmabufCreate request{static_cast<std::uint32_t>(memory.get()), udmabuf_cloexec, 0, size};
        const int made = ask(udmabuf_create, &request);
        if (made < 0) return failed(size, "UDMABUF_CREATE", errno);
        return UniqueFd(made);
    }

    static constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
        return (value + unit - 1) / unit * unit;
    }
};

template<class T>
Result<std::unique_ptr<Heap>> open_node_heap(Kernel& kernel, const std::string& path, const char* what) {
    const int fd = kernel.open(path);
    if (fd < 0)
        return fail(ErrorKind::system,
                    fmt::format("opening the {} {}: {}; buffers come from it: enable it in the kernel and let the "
                                "host's group open it",
                                what, path, errno_text(-fd)),
                    -fd);
    return std::make_unique<T>(kernel, UniqueFd(fd), path);
}

} // namespace

std::vector<unsigned long> heap_requests() {
    return {heap_allocate, udmabuf_create, buffer_sync};
}

Result<std::unique_ptr<Heap>> open_dma_heap(Kernel& kernel, const std::string& path) {
    return open_node_heap<DmaHeap>(kernel, path, "dma-heap");
}

Result<std::unique_ptr<Heap>> open_udmabuf_heap(Kernel& kernel, const std::string& path) {
    return open_node_heap<UdmabufHeap>(kernel, path, "udmabuf device");
}

Result<std::unique_ptr<Heap>> open_heap(Kernel& kernel) {
    Result<std::unique_ptr<Heap>> heap = open_dma_heap(kernel);
    if (heap) return heap;
    Result<std::unique_ptr<Heap>> udmabuf = open_udmabuf_heap(kernel);
    if (udmabuf) return udmabuf;
    return fail(ErrorKind::system,
                fmt::format("there is nowhere to allocate shared buffers from: {}; {}", heap.error().text,
                            udmabuf.error().text),
                heap.error().os_error);
}

bool needs_sync(int fd) {
    return ::fcntl(fd, F_GET_SEALS) < 0; // only memory files have seals
}

Status begin_read(int fd) {
    return sync(fd, sync_read);
}

Status end_read(int fd) {
    return sync(fd, sync_read | sync_end);
}

std::uint64_t page_size() noexcept {
    static const auto size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

bool is_dma_buf(int fd, int ours) {
    const auto file = look_at(fd);
    const auto dma_buf = look_at(ours);
    struct statfs info {};
    return is_open(fd) && file && dma_buf && file->stx_dev_major == dma_buf->stx_dev_major &&
           file->stx_dev_minor == dma_buf->stx_dev_minor && ::fstatfs(fd, &info) == 0 && info.f_type == dma_buf_magic;
}

std::string describe_file(int fd) {
    if (!is_open(fd)) return "an fd without an open file (O_PATH)";
    if (!needs_sync(fd)) return "a memory file (memfd)";
    const auto file = look_at(fd);
    switch (file ? file->stx_mode & S_IFMT : S_IFMT) {
    case 0:
        return "a file of the kernel's own (epoll, eventfd, timerfd or the like)";
    case S_IFREG:
        return "an ordinary file";
    case S_IFDIR:
        return "a directory";
    case S_IFSOCK:
        return "a socket";
    case S_IFIFO:
        return "a pipe";
    case S_IFCHR:
        return "a device";
    default:
        return "a file of some other kind";
    }
}

bool closes_at_once(int fd) {
    if (!is_open(fd) || !needs_sync(fd)) return true;
    const auto file = look_at(fd);
    return file && (file->stx_mode & S_IFMT) != S_IFREG;
}

Result<std::uint64_t> dma_buf_size(int fd) {
    const off_t size = ::lseek(fd, 0, SEEK_END);
    if (size < 0) return fail_errno("asking a dma-buf for its size", errno);
    return static_cast<std::uint64_t>(size);
}

} // namespace fastrpc::daemon
