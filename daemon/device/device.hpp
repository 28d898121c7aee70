// A device that leads to a DSP, in terms of our own buffers: what the rest of the host knows of the kernel.
//
// One object is one open node. The dialects (misc.cpp, accel.cpp, later adsprpc) translate to ioctls; no ioctl number,
// no dma-buf fd and no address of a shared buffer leaves them. Every call may sleep until the DSP answers, so callers
// block all signals first (KERNEL 1.14).
#pragma once

#include "base/result.hpp"
#include "ipc/control.hpp"
#include "ipc/domain.hpp"
#include "ipc/scalars.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

/// One argument of a call. `buffer` 0: the kernel copies `length` bytes at `data`. Else `length` bytes from `offset` on
/// of the buffer that map_buffer() made known under this id; `data` is not looked at. A handle is always of the latter
/// kind, with `offset` and `length` below 2^32: the DSP gets these two and the buffer's number, and reaches all of it.
struct Argument {
    void* data = nullptr;
    std::uint64_t length = 0;
    std::uint32_t buffer = 0;
    std::uint64_t offset = 0;
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
    /// As an error of its kind: lost, system or dsp, with "`what`: text()".
    [[nodiscard]] Error error(std::string_view what) const;
};

/// What is known of the driver and the DSP behind an open device; fixed for its life.
struct Facts {
    std::string backend; ///< "misc" or "accel"
    std::string profile; ///< what the probes say of the driver, for people (KERNEL 1.16, 2.3)
    /// CPU access to a shared buffer must be bracketed by DMA_BUF_IOCTL_SYNC (KERNEL 1.11.5).
    bool needs_cache_maintenance = true;
    /// A caller that dies inside a call may cost the DSP a context until its next restart (KERNEL 1.14).
    bool loses_contexts = true;
    /// Callers that wait when the DSP restarts are woken by the driver; else call interrupt_waiters() (KERNEL 2.4).
    bool wakes_callers = true;
    /// Handles among the arguments of a call reach the DSP (KERNEL 1.11.5); QDA drops them.
    bool takes_handles = true;
    /// Capabilities 0..11 (KERNEL 1.5); 0xFFFFFFFF where nobody could ask.
    std::array<std::uint32_t, capability_count> capabilities = unknown_capabilities();
};

/// How the DSP maps a shared buffer (KERNEL 1.5). Other values up to largest_share_mode are the DSP's own affair:
/// drivers pass on what it asked for, unseen.
enum class ShareMode : std::uint32_t { fixed = 0, fd = 2, fd_delayed = 3, fd_nomap = 16 };
inline constexpr std::uint32_t largest_share_mode = 0xFFFF;
/// What became of a share_buffer() that reached the driver.
struct Shared {
    CallResult call;
    std::uint64_t dsp_address = 0; ///< 0: the DSP gave none
};
/// Which heap of the DSP grows: that of the PD, or the remote heap of a static PD.
enum class DspHeap : std::uint32_t { user = 0x1000, remote = 8 };

class Device {
public:
    /// Ids of buffers that are mapped at the same time differ in their low bits: id modulo this.
    static constexpr std::uint32_t buffer_slots = 4096;
    /// Ids with this bit are of buffers that the DSP asked for. They have slots of their own, dsp_buffer_slots of them,
    /// so that they never meet a client's.
    static constexpr std::uint32_t of_dsp = 0x8000'0000;
    static constexpr std::uint32_t dsp_buffer_slots = 256;

    virtual ~Device() = default;

    /// Path of the node, for people.
    [[nodiscard]] virtual const std::string& node() const noexcept = 0;
    [[nodiscard]] virtual const Facts& facts() const noexcept = 0;
    /// True for the PDs that this driver can start at all.
    [[nodiscard]] virtual bool serves(PdKind kind) const noexcept = 0;
    /// Value of a DSP capability. ErrorKind::unsupported when it was not asked before the init, or got no answer.
    [[nodiscard]] Result<std::uint32_t> capability(std::uint32_t id) const;

    // Exactly one of these, once (design 12.2); a second throws std::logic_error.
    virtual CallResult attach_root() = 0;
    virtual CallResult attach_sensors() = 0;
    virtual CallResult create_static(std::string_view name, std::uint32_t heap_bytes) = 0;
    /// `shell` is a dma-buf whose first `shell_bytes` bytes are the program; it stays open as long as the device. No
    /// shell: -1 and 0.
    virtual CallResult create_user(int shell, std::uint64_t shell_bytes, std::uint32_t attributes) = 0;
    /// What a person can do about a failed init of `kind`, beginning with "; "; empty when nothing is known.
    [[nodiscard]] virtual std::string advice(PdKind kind, const CallResult& init) const = 0;

    /// Makes a dma-buf known under `id`, which is not 0. The caller may close `fd` afterwards. All of the whole pages
    /// of its real size can be used. ErrorKind::invalid for a bad id, fd or size; quota when no fd number is left.
    virtual Status map_buffer(std::uint32_t id, int fd) = 0;
    /// Forgets the buffer, which no call uses. ErrorKind::not_found; busy while it is shared.
    virtual Status unmap_buffer(std::uint32_t id) = 0;
    /// The number by which driver and DSP name a known buffer: 1 and up, and in no other buffer's place as long as the
    /// device is open. ErrorKind::not_found.
    [[nodiscard]] virtual Result<std::uint32_t> buffer_number(std::uint32_t id) const = 0;
    /// The id of a known buffer by that number; 0 when there is none.
    [[nodiscard]] virtual std::uint32_t find_buffer(std::uint32_t number) const = 0;
    /// Maps `length` bytes, from the start on, of a known buffer into the PD; QDA maps all of it. Errors are refusals
    /// before the driver was asked: ErrorKind::not_found, invalid; busy when it is shared already.
    virtual Result<Shared> share_buffer(std::uint32_t id, std::uint64_t length, ShareMode mode) = 0;
    /// Takes it out of the PD. Errors as above: ErrorKind::not_found when it is not shared; unsupported when the DSP
    /// gave it no address, which would hit other mappings (KERNEL 1.13): it stays until the PD ends.
    virtual Result<CallResult> unshare_buffer(std::uint32_t id) = 0;
    // The same for callers that only want to know whether it worked: share() gives the address; lost, dsp or system
    // from below.
    Result<std::uint64_t> share(std::uint32_t id, std::uint64_t length, ShareMode mode);
    Status unshare(std::uint32_t id);
    /// Gives the DSP `bytes` (whole pages) more memory; returns their DSP address.
    virtual Result<std::uint64_t> grow_heap(std::uint64_t bytes, DspHeap heap) = 0;
    /// Takes back what grow_heap() gave, exactly. ErrorKind::not_found for anything else.
    virtual Status shrink_heap(std::uint64_t address, std::uint64_t bytes) = 0;
    /// Asks the driver for memory that grow_heap() of this device did not give: that of a static PD which outlived its
    /// former host (USERSPACE 6.3). Drivers that know only what this open node gave refuse it, and write a line about
    /// it to the kernel's log: bound how often. Errors as shrink_heap(); unsupported without such a PD.
    virtual Status reclaim_heap(std::uint64_t address, std::uint64_t bytes) = 0;

    /// A forward call. `arguments` in the order of the scalars. Thread-safe; never allocates and holds no lock. Refuses
    /// the kernel's handles 1 and 2 with EPERM, handles among the arguments with EOPNOTSUPP where Facts say that the
    /// driver has none, and with EINVAL whatever KERNEL 1.17 warns of: an unknown buffer, bytes beyond its end, ranges
    /// that overlap or wrap, a handle that is no buffer.
    virtual CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) = 0;

    /// The node is gone: gets every thread out of its call, where the driver does not wake them itself (KERNEL 2.4).
    /// Never blocks. False while some are still inside: call again soon.
    virtual bool interrupt_waiters() noexcept { return true; }
};

} // namespace fastrpc::daemon
