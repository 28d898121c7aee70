// The scalars word of a FastRPC call (USERSPACE 2.1, KERNEL 0.2).
//
//   bits 31:29 attribute   28:24 method   23:16 input buffers   15:8 output buffers   7:4 input handles   3:0 output
//   handles
#pragma once

#include <cstdint>

namespace fastrpc {

struct Scalars {
    std::uint32_t word = 0;

    /// Counts above the width of their field are a bug of the caller; they are masked.
    static constexpr Scalars make(unsigned method, unsigned in, unsigned out, unsigned in_handles = 0,
                                  unsigned out_handles = 0) noexcept {
        return {(method & 31U) << 24 | (in & 255U) << 16 | (out & 255U) << 8 | (in_handles & 15U) << 4 |
                (out_handles & 15U)};
    }
    [[nodiscard]] constexpr unsigned attribute() const noexcept { return word >> 29; }
    [[nodiscard]] constexpr unsigned method() const noexcept { return word >> 24 & 31U; }
    [[nodiscard]] constexpr unsigned in_buffers() const noexcept { return word >> 16 & 255U; }
    [[nodiscard]] constexpr unsigned out_buffers() const noexcept { return word >> 8 & 255U; }
    [[nodiscard]] constexpr unsigned in_handles() const noexcept { return word >> 4 & 15U; }
    [[nodiscard]] constexpr unsigned out_handles() const noexcept { return word & 15U; }
    [[nodiscard]] constexpr unsigned buffers() const noexcept { return in_buffers() + out_buffers(); }
    /// N of the specification: all arguments, at most 540.
    [[nodiscard]] constexpr unsigned arguments() const noexcept { return buffers() + in_handles() + out_handles(); }
    friend constexpr bool operator==(Scalars, Scalars) noexcept = default;
};

/// Method field that says "the real method id is the first u32 of the first input" (USERSPACE 2.1).
inline constexpr unsigned extended_method = 31;
/// Most arguments that a call can have: 255 + 255 + 15 + 15.
inline constexpr unsigned max_arguments = 540;

} // namespace fastrpc
