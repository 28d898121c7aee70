// What stands between the driver half and the DSP half of the virtual SoC: an rpmsg channel and DMA memory.
//
// The driver half plays the kernel: it sends 40-byte requests and owns the address space behind their addresses. The
// DSP half plays the firmware: it sees only these bytes and this memory, so that it can be put behind the real kernel
// driver unchanged. Everything here runs on the one sd-event loop of the server.
#pragma once

#include <cstddef>
#include <cstdint>
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
    int fd = -1;               ///< mappable shared; borrowed, valid until the next call into the machine
    std::uint64_t offset = 0;  ///< of the window in fd
};

/// The machine that a DSP lives in; the driver half implements it.
class Machine {
public:
    virtual ~Machine() = default;
    /// An rpmsg message from the DSP: a WireResponse.
    virtual void respond(std::span<const std::byte> message) = 0;
    /// The window that holds `address`, as the DSP's MMU would find it; nothing when it would fault.
    virtual std::optional<DmaWindow> window(std::uint64_t address) = 0;
};

/// One DSP as its machine sees it; the DSP half implements it.
class Dsp {
public:
    virtual ~Dsp() = default;
    /// An rpmsg message to the DSP: a WireRequest. Never blocks.
    virtual void receive(const WireRequest& request) = 0;
    /// The window that began at `address` is gone: drop every mapping of it.
    virtual void unmapped(std::uint64_t address) = 0;
};

} // namespace fastrpc::vdsp
