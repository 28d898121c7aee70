// What stands between a kernel driver and the DSP half of the virtual SoC: an rpmsg channel and DMA memory.
//
// The driver half of vdsp plays the kernel; a bridge to the real kernel driver takes its place in the guest of
// tests/vm. Either sends 40-byte requests and owns the memory behind their addresses. The DSP half plays the firmware:
// it sees only these bytes and this memory. Both sides are called from any thread, at once from several.
#pragma once

#include "base/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

namespace fastrpc::vdsp {

/// Request of the kernel, KERNEL 1.11.1.
struct WireRequest {
    std::int32_t client = 0; ///< 0 for calls that the kernel itself makes
    std::int32_t tid = 0;
    std::uint64_t context = 0; ///< opaque to the DSP, which echoes it; bits 3:0 are the PD number
    std::uint32_t handle = 0;
    std::uint32_t scalars = 0;
    std::uint64_t address = 0; ///< DMA address of the payload, SID in bits 63:32
    std::uint64_t size = 0;    ///< payload size rounded up to 4096
};
static_assert(sizeof(WireRequest) == 40);

/// Answer of the DSP, v1 form of KERNEL 1.11.4.
struct WireResponse {
    std::uint64_t context = 0;
    std::int32_t result = 0;
    std::uint32_t padding = 0;
};
static_assert(sizeof(WireResponse) == 16);

/// A run of DMA addresses and the memory behind it.
struct DmaWindow {
    std::uint64_t address = 0; ///< first address, SID included, page-aligned
    std::uint64_t size = 0;    ///< bytes, whole pages
    UniqueFd fd;               ///< the taker's own; maps shared, reads and writes at offsets
    std::uint64_t offset = 0;  ///< of the window in fd
};

/// The machine that a DSP lives in. Outlives its Dsp.
class Machine {
public:
    virtual ~Machine() = default;
    /// An rpmsg message from the DSP: a WireResponse, or what a DSP that lost its mind sends instead.
    virtual void respond(std::span<const std::byte> message) = 0;
    /// The window that holds `address`, as the DSP's MMU would find it; nothing when it would fault.
    virtual std::optional<DmaWindow> window(std::uint64_t address) = 0;
    /// The DSP dies now and boots again after `down`: the machine destroys this Dsp on its own loop, soon, and makes a
    /// new one (KERNEL 1.15).
    virtual void crashed(std::chrono::milliseconds down) = 0;
};

/// Why converse() came back.
enum class Woken { done, disturbed, late };

/// One DSP as its machine sees it; the DSP half implements it. Destroyed on the machine's loop, when no call is inside.
class Dsp {
public:
    virtual ~Dsp() = default;
    /// An rpmsg message to the DSP: a WireRequest. Never blocks. The answer comes to Machine::respond at some time,
    /// from any thread, possibly before this returns.
    virtual void receive(const WireRequest& request) = 0;
    /// As receive(), for a thread that waits for the answer anyway: it may carry the DSP's answers to the machine
    /// itself, which saves a hop. Comes back when `done()` (asked after every answer that it carried), when one of the
    /// fds `disturbances` is readable or hung up, or at `deadline`. Answers that come later reach the machine as after
    /// receive(). The machine signals its own end of the call through one of the disturbances.
    virtual Woken converse(const WireRequest& request, std::span<const int> disturbances,
                           std::optional<std::chrono::steady_clock::time_point> deadline,
                           const std::function<bool()>& done) = 0;
    /// The window that began at `address` is gone: drop every mapping of it.
    virtual void unmapped(std::uint64_t address) = 0;
};

/// converse() for a Dsp without a shorter way: receive(), then waiting for a disturbance.
Woken converse_by_waiting(Dsp& dsp, const WireRequest& request, std::span<const int> disturbances,
                          std::optional<std::chrono::steady_clock::time_point> deadline,
                          const std::function<bool()>& done);
/// What is left of it when the request was sent in another way.
Woken wait_for_answer(std::span<const int> disturbances, std::optional<std::chrono::steady_clock::time_point> deadline,
                      const std::function<bool()>& done);

} // namespace fastrpc::vdsp
