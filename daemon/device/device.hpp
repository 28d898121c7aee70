// A device that leads to a DSP, in terms of our own buffers: what the rest of the host knows of the kernel.
//
// One object is one open node. The dialects (misc.cpp, later accel and adsprpc) translate to ioctls; no ioctl number
// leaves them. Every call may sleep until the DSP answers, so callers block all signals first (KERNEL 1.14).
#pragma once

#include "base/result.hpp"
#include "ipc/domain.hpp"
#include "ipc/scalars.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

/// One argument of a call. `fd` -1 means that the kernel copies `length` bytes at `address`; else `address` lies in our
/// mapping of the dma-buf `fd`, which begins at its offset 0. The caller guarantees every rule of KERNEL 1.17.
struct Argument {
    void* address = nullptr;
    std::uint64_t length = 0;
    int fd = -1;
};

/// What an ioctl that reaches the DSP gave back (KERNEL 1.11.6).
struct CallResult {
    std::int32_t result = 0;   ///< 0, or the DSP's code, or -1
    std::int32_t os_error = 0; ///< errno when result is -1

    [[nodiscard]] bool ok() const noexcept { return result == 0; }
    /// The DSP or its node is gone for good: EPIPE, ECONNRESET or ENODEV.
    [[nodiscard]] bool gone() const noexcept;
    /// "EPIPE (Broken pipe)" or the DSP's code, for people.
    [[nodiscard]] std::string text() const;
};

class Device {
public:
    virtual ~Device() = default;

    /// Path of the node, for people.
    [[nodiscard]] virtual const std::string& node() const noexcept = 0;

    // Exactly one of these, once (design 12.2); a second throws std::logic_error.
    virtual CallResult attach_root() = 0;
    virtual CallResult attach_sensors() = 0;
    virtual CallResult create_static(std::string_view name, std::uint32_t heap_bytes) = 0;
    /// `shell_fd` is a dma-buf that holds `shell` (mapped from its offset 0), or -1 with an empty shell.
    virtual CallResult create_user(std::span<std::byte> shell, int shell_fd, std::uint32_t attributes) = 0;

    /// A forward call. `arguments` in the order of the scalars; handle counts are 0. Thread-safe, never allocates.
    virtual CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) = 0;
};

} // namespace fastrpc::daemon
