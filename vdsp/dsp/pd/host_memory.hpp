// Memory of the host, through reverse calls to apps_mem (USERSPACE 6): the PD asks, the host allocates and maps it on
// the DSP with a call of its own, and answers with both addresses.
#pragma once

#include "vdsp/dsp/pd/host_calls.hpp"

#include <cstdint>

namespace fastrpc::vdsp {

/// What request_map64 answers.
struct HostMapping {
    std::uint64_t cpu = 0; ///< the host's own address, an opaque token here; 0 for memory that it does not see
    std::uint64_t dsp = 0; ///< where this PD sees it
};

/// What request_map64 asks for.
struct HostMapRequest {
    std::int32_t heap = 0;
    std::uint32_t allocation_flags = 0;
    std::uint32_t map_flags = 0;
    std::uint64_t length = 0; ///< bytes
};

/// rflags of request_map64 that ask for pages of the kernel (USERSPACE 6.2).
inline constexpr std::uint32_t add_pages = 0x1000;

class HostMemory {
public:
    /// `patient` as in Listener::call. Not thread-safe.
    explicit HostMemory(Listener& listener, bool patient = false) : apps_mem_(listener, "apps_mem", patient) {}

    HostResult<HostMapping> map(const HostMapRequest& request);
    HostResult<void> unmap(std::uint64_t dsp_address, std::uint64_t length);

private:
    HostCalls apps_mem_;
};

} // namespace fastrpc::vdsp
