#include "daemon/device/shared_view.hpp"

#include "daemon/device/heap.hpp"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <utility>

namespace fastrpc::daemon {

Result<SharedView> SharedView::map(int fd, std::uint64_t size, bool sync) {
    const Result<std::uint64_t> real = dma_buf_size(fd);
    if (!real) return std::unexpected(real.error());
    // Of a partial page the driver's own buffers map nothing (KERNEL 1.10).
    if (size < sizeof(std::uint32_t) || size > *real / page_size() * page_size())
        return fail(ErrorKind::invalid, fmt::format("{} bytes of a dma-buf of {} can't be read", size, *real));
    SharedView view;
    if (sync) {
        view.fd_.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!view.fd_) return fail_errno("duplicating a buffer's fd", errno);
    }
    void* const base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) return fail_errno(fmt::format("mapping {} bytes to read", size), errno);
    view.base_ = static_cast<std::byte*>(base);
    view.size_ = size;
    return view;
}

SharedView::SharedView(SharedView&& other) noexcept :
    base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)), fd_(std::move(other.fd_)) {}

SharedView::~SharedView() {
    if (base_ != nullptr) ::munmap(base_, size_);
}

std::uint32_t SharedView::word(std::uint64_t offset) const noexcept {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(base_ + offset)).load(std::memory_order_acquire);
}

void SharedView::copy(std::uint64_t offset, std::span<std::byte> to) const noexcept {
    const volatile std::byte* from = base_ + offset; // each byte is read once, whatever the compiler thinks of it
    for (std::byte& byte : to) byte = *from++;
}

Status SharedView::begin() const {
    return fd_ ? begin_read(fd_.get()) : Status();
}

Status SharedView::end() const {
    return fd_ ? end_read(fd_.get()) : Status();
}

} // namespace fastrpc::daemon
