// Memory for the inline outputs of calls, with a guard page behind it.
//
// The driver copies as many bytes to an output as the DSP says after the call, which may be more than its capacity
// (KERNEL 1.11.5). The guard page turns an overrun into EFAULT; without it an unsigned PD could write over our heap or
// stack. So every output that the kernel copies lies in such an area: no local variable, no vector.
#pragma once

#include <cstddef>
#include <span>

namespace fastrpc::daemon {

class GuardedArea {
public:
    /// `size` usable bytes, zeroed; at most a guard's size of slack follows them, then the guard. Throws
    /// std::bad_alloc.
    explicit GuardedArea(std::size_t size);
    ~GuardedArea();
    GuardedArea(const GuardedArea&) = delete;
    GuardedArea& operator=(const GuardedArea&) = delete;

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {base_, size_}; }
    /// Keeps the bytes that fit; new ones are zero. Moves the area. Throws std::bad_alloc, and then nothing changed.
    void resize(std::size_t size);

private:
    std::byte* base_;
    std::size_t size_;
};

} // namespace fastrpc::daemon
