// A grant: the immutable answer of the policy, and all that a host is told about what its session may do.
//
// policy/ makes it, broker/ sends it, daemon/ obeys it. It only ever narrows: attributes are the complete set that the
// PD is created with, and a limit of 0 means "none of it", never "no limit".
#pragma once

#include <cstdint>
#include <string>

namespace fastrpc {

struct Limits {
    std::uint32_t sessions_per_uid = 0; ///< sessions that one uid may have on this domain
    std::uint32_t lanes = 0;            ///< calls in flight at once; each is one of the DSP's 255 contexts
    std::uint64_t mapped_bytes = 0;     ///< sum of the session's buffers and of what its DSP code asks for
    std::uint32_t buffers = 0;          ///< number of the session's buffers
    std::uint32_t deadline_ms = 0;      ///< longest call; a longer one ends the session
    friend bool operator==(const Limits&, const Limits&) = default;
};

struct Grant {
    std::string rule;             ///< name of the rule that allowed it
    std::string file;             ///< where the rule stands
    std::uint32_t line = 0;       ///< 1-based
    std::uint32_t attributes = 0; ///< process attributes of the PD (attribute:: in domain.hpp)
    Limits limits;
    /// May be served where a client can attack the kernel itself (the first generation of QDA, KERNEL 2.5 no. 3).
    bool trusted = false;
    friend bool operator==(const Grant&, const Grant&) = default;
};

} // namespace fastrpc
