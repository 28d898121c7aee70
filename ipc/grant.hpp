// A grant: the immutable answer of the policy, and all that a host is told about what its session may do.
//
// policy/ makes it, broker/ sends it, daemon/ obeys it. It only ever narrows: attributes are the complete set that the
// PD is created with, and a limit of 0 means "none of it", never "no limit".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fastrpc {

struct Limits {
    std::uint32_t sessions_per_uid = 0; ///< sessions that one uid may have on this domain
    std::uint32_t lanes = 0;            ///< calls in flight at once; each is one of the DSP's 255 contexts
    std::uint64_t mapped_bytes = 0;     ///< sum of the session's buffers and of what its DSP code asks for
    std::uint32_t buffers = 0;          ///< number of the session's buffers
    std::uint32_t deadline_ms = 0;      ///< longest call; a longer one ends the session
    // Of all sessions that one uid has, on all domains.
    std::uint32_t lanes_per_uid = 0;
    std::uint64_t mapped_bytes_per_uid = 0;
    std::uint32_t fds_per_uid = 0;    ///< that hosts may hold for it: buffers, lanes, directories, module files
    std::uint32_t queued_per_uid = 0; ///< opens that wait for a DSP
    std::uint32_t opens_per_minute = 0;
    std::uint32_t queue_ms = 0; ///< longest wait for a DSP that a request may ask for
    /// A session that made no call for so long may be ended when others wait for its place; 0 = never.
    std::uint32_t reclaim_idle_ms = 0;
    std::uint32_t best_priority = 0; ///< lowest number (1 is most urgent) that DSP threads may ask for; 0 = none
    std::uint32_t stack_bytes = 0;   ///< largest stack that DSP threads may ask for
    std::uint32_t directories = 0;   ///< of the client's, that the session's DSP code may be given files from
    friend bool operator==(const Limits&, const Limits&) = default;
};

/// Of one request: modules named, files of them, and bytes of those files in all.
inline constexpr std::size_t max_granted_modules = 32;
inline constexpr std::uint32_t max_module_files = 8;
inline constexpr std::uint64_t max_module_bytes = 64ULL << 20;

/// Directories that a client may bring, whatever its rule says.
inline constexpr std::uint32_t max_session_directories = 8;
/// Beside buffers, lanes and directories: a host's node, sockets, watches and the files that its DSP has open.
inline constexpr std::uint32_t host_fds = 64;

/// Of one lane, of the kind that has most: both ends of the pipe of its requests, and one of its replies'.
inline constexpr std::uint32_t host_lane_fds = 3;

/// A module that a session may load.
struct GrantedModule {
    std::string name;                                ///< file name, e.g. "libcalculator_skel.so"
    std::optional<std::array<std::byte, 32>> sha256; ///< of the file, when it must be that one
    friend bool operator==(const GrantedModule&, const GrantedModule&) = default;
};

struct Grant {
    std::string rule;             ///< name of the rule that allowed it
    std::string file;             ///< where the rule stands
    std::uint32_t line = 0;       ///< 1-based
    std::uint64_t revision = 0;   ///< of the policy that it was a rule of
    std::uint32_t attributes = 0; ///< process attributes of the PD (attribute:: in domain.hpp)
    Limits limits;
    // Of the DSP threads that serve the session's lanes (USERSPACE 8.1); 0 = the firmware's own choice.
    std::uint32_t thread_priority = 0;
    std::uint32_t thread_stack = 0; ///< bytes
    /// May be served where a client can attack the kernel itself (the first generation of QDA, KERNEL 2.5 no. 3).
    bool trusted = false;
    std::vector<GrantedModule> modules; ///< that the session may load of its client's; empty: any
    friend bool operator==(const Grant&, const Grant&) = default;
};

/// Fds that the host of a session may come to hold which brings so many files of modules.
constexpr std::uint32_t session_fds(const Limits& limits, std::uint32_t module_files) noexcept {
    return limits.buffers + limits.lanes * host_lane_fds + limits.directories + module_files + host_fds;
}
/// Of this session: a module has a hash when its file was handed over, and then alone.
inline std::uint32_t session_fds(const Grant& grant) noexcept {
    const auto files =
        std::ranges::count_if(grant.modules, [](const GrantedModule& module) { return module.sha256.has_value(); });
    return session_fds(grant.limits, static_cast<std::uint32_t>(files));
}

} // namespace fastrpc
