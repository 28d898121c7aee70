// Our view of a dma-buf that the DSP writes while we read it: read-only, and never read twice for one decision.
//
// Whoever reads takes a copy and judges that. The mapping holds the memory, so that it stays readable when the DSP has
// given the buffer back.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace fastrpc::daemon {

class SharedView {
public:
    /// The first `size` bytes of a dma-buf; `fd` may be closed afterwards. `sync`: reads are bracketed for the CPU's
    /// caches (Facts::needs_cache_maintenance). ErrorKind::invalid when the dma-buf has no `size` bytes in whole pages.
    static Result<SharedView> map(int fd, std::uint64_t size, bool sync);
    SharedView(SharedView&& other) noexcept;
    SharedView& operator=(SharedView&&) = delete;
    ~SharedView();

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// The u32 at `offset`, a multiple of 4 with 4 bytes behind it; what the DSP wrote before it is visible afterwards.
    [[nodiscard]] std::uint32_t word(std::uint64_t offset) const noexcept;
    /// Copies the bytes at `offset`, all of which lie within size().
    void copy(std::uint64_t offset, std::span<std::byte> to) const noexcept;

    /// Around word() and copy(): a read of what the DSP has written by now. ErrorKind::system.
    Status begin() const;
    Status end() const;

private:
    SharedView() = default;

    std::byte* base_ = nullptr;
    std::uint64_t size_ = 0;
    UniqueFd fd_; ///< where reads need brackets
};

} // namespace fastrpc::daemon
