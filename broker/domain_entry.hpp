// A domain as the bus shows it: what discovery sees of the machine, joined with what the hosts say of themselves.
#pragma once

#include "ipc/control.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fastrpc::broker {

/// What discovery knows of a domain (discovery/machine.hpp), as far as the registry needs it.
struct DeviceFacts {
    std::vector<std::string> nodes; ///< paths, in the order in which a host tries them
    std::string backend;            ///< "misc" or "accel"; empty without a node
    std::string remoteproc;         ///< empty when the kernel knows of none
    std::string remoteproc_state;
    std::vector<std::string> problems;
    friend bool operator==(const DeviceFacts&, const DeviceFacts&) = default;
};

struct DomainEntry {
    Domain domain = Domain::cdsp;
    /// absent (no node, no remoteproc), offline (no node), starting, online, recovering or failed.
    std::string state;
    /// Raised with each arrival of the domain's first node; 1 at the first. Begins anew with fastrpcd. Of a domain
    /// whose nodes fastrpcd cannot see, the highest generation of its PDs.
    std::uint64_t generation = 0;
    std::string backend;            ///< "misc", "accel" or empty
    std::string profile;            ///< what the last host found out about the driver, for people
    std::vector<std::string> nodes; ///< paths
    std::uint32_t sessions_used = 0;
    std::uint32_t sessions_max = 14;    ///< the driver's most (KERNEL 1.2), until the DSP was seen full with fewer
    std::uint32_t contexts_granted = 0; ///< lanes of open sessions
    std::uint32_t contexts_lost = 0;    ///< until the next generation
    std::uint64_t last_crash_us = 0;    ///< CLOCK_REALTIME of the last restart of the DSP or a static PD; 0 = none seen
    std::string last_crash_reason;
    std::vector<std::string> problems; ///< for people
    /// Values of capabilities 0..11 (KERNEL 1.5) as a host read them; 0xFFFFFFFF = unknown.
    std::array<std::uint32_t, capability_count> capabilities = unknown_capabilities();
    friend bool operator==(const DomainEntry&, const DomainEntry&) = default;
};

} // namespace fastrpc::broker
