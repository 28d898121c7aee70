// Where shared buffers come from, and what counts as one.
//
// Buffers come from a dma-heap, else through udmabuf, never from the driver's own allocator, whose buffers hurt the
// kernel when they outlive the node (KERNEL 1.10). A client may bring its own, if it is a dma-buf: the kernel knows no
// other file.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/device/kernel.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fastrpc::daemon {

class Heap {
public:
    virtual ~Heap() = default;
    /// A new zeroed dma-buf of `size` bytes (whole pages), close-on-exec. ErrorKind::system when out of memory.
    virtual Result<UniqueFd> allocate(std::uint64_t size) = 0;
    /// True when `fd` is a dma-buf. Never blocks, whatever a client gave.
    [[nodiscard]] virtual bool is_dma_buf(int fd) = 0;
    /// Bracket our own writing to a mapped buffer, because our caches may not be the DSP's (KERNEL 1.11.5).
    virtual Status begin_write(int fd) = 0;
    virtual Status end_write(int fd) = 0;
};

// Each is opened once, so that a sandboxed process can go on allocating. ErrorKind::system says what is missing.

/// The dma-heap at `path`.
Result<std::unique_ptr<Heap>> open_dma_heap(Kernel& kernel = Kernel::real(),
                                            const std::string& path = "/dev/dma_heap/system");
/// Memory files made into dma-bufs, of huge pages where the machine has some: a DSP without an SMMU needs contiguous
/// memory, which pages are by themselves.
Result<std::unique_ptr<Heap>> open_udmabuf_heap(Kernel& kernel = Kernel::real(),
                                                const std::string& path = "/dev/udmabuf");
/// The first of them that there is, or why there is none.
Result<std::unique_ptr<Heap>> open_heap(Kernel& kernel = Kernel::real());

/// By file system type, which no other file can show (DMA_BUF_MAGIC). That is asked only of files that live where
/// `ours` does, which is a dma-buf: any other file system may be a client's own, and keep us waiting (FUSE).
bool is_dma_buf(int fd, int ours);
/// What `fd` is, for people, e.g. "a memory file (memfd)". Never blocks.
std::string describe_file(int fd);
/// No file system is asked when `fd` is closed. Never blocks.
bool closes_at_once(int fd);
/// True when a CPU's access to the buffer must be bracketed by DMA_BUF_IOCTL_SYNC; false for the memory files that
/// stand for dma-bufs on a virtual SoC, where processes outside it could not do so.
bool needs_sync(int fd);
/// Brackets a read of a mapped dma-buf that needs_sync(). ErrorKind::system.
Status begin_read(int fd);
Status end_read(int fd);
/// The ioctls of all this.
std::vector<unsigned long> heap_requests();
/// Bytes of a page.
std::uint64_t page_size() noexcept;
/// Bytes of a dma-buf: the only size that may reach the kernel (KERNEL 1.17).
Result<std::uint64_t> dma_buf_size(int fd);

} // namespace fastrpc::daemon
