// Every word that a policy file may contain. The loader knows these and no others; the JSON schema lists the same, and
// a test compares the two.
#pragma once

#include "ipc/domain.hpp"
#include "ipc/grant.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace fastrpc::policy {

inline constexpr std::array<std::string_view, 2> file_keys{"$schema", "rules"};
inline constexpr std::array<std::string_view, 10> rule_keys{
    "name", "description", "priority", "subject", "domains", "kinds", "effect", "limits", "attributes", "trusted"};
inline constexpr std::array<std::string_view, 3> subject_keys{"any", "users", "groups"};
/// "ask" is reserved: the loader refuses it until there is somebody to ask.
inline constexpr std::array<std::string_view, 2> effects{"allow", "deny"};

/// In "domains": all domains that have unsigned PDs.
inline constexpr std::string_view unsigned_capable = "unsigned-capable";

/// Attributes that a rule may name. Those of the PD kind (UNSIGNED_MODULE, SYSTEM_UNSIGNED_PD) come with the kind.
struct AttributeName {
    std::string_view name;
    std::uint32_t bit;
};
inline constexpr std::array<AttributeName, 6> attribute_names{{{"debug", attribute::debug},
                                                               {"ptrace", attribute::ptrace},
                                                               {"crc", attribute::crc},
                                                               {"adaptive-qos", attribute::adaptive_qos},
                                                               {"system-process", attribute::system_process},
                                                               {"privileged", attribute::privileged}}};

/// A limit and its bounds. A rule that allows sessions allows at least one session with one lane.
struct LimitName {
    std::string_view name;
    std::uint64_t least;
    std::uint64_t most;
    void (*set)(Limits&, std::uint64_t);
};
inline constexpr std::array<LimitName, 5> limit_names{{
    {"sessions_per_uid", 1, 64,
     [](Limits& to, std::uint64_t n) { to.sessions_per_uid = static_cast<std::uint32_t>(n); }},
    {"lanes", 1, 255, [](Limits& to, std::uint64_t n) { to.lanes = static_cast<std::uint32_t>(n); }},
    {"mapped_bytes", 0, 1ULL << 36, [](Limits& to, std::uint64_t n) { to.mapped_bytes = n; }},
    {"buffers", 0, 65536, [](Limits& to, std::uint64_t n) { to.buffers = static_cast<std::uint32_t>(n); }},
    {"deadline_ms", 1, 86400000, [](Limits& to, std::uint64_t n) { to.deadline_ms = static_cast<std::uint32_t>(n); }},
}};

} // namespace fastrpc::policy
