// Every word that a policy file may contain. The loader knows these and no others; the JSON schema lists the same, and
// a test compares the two.
#pragma once

#include "ipc/domain.hpp"
#include "ipc/grant.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace fastrpc::policy {

inline constexpr std::array<std::string_view, 3> file_keys{"$schema", "running_sessions", "rules"};
inline constexpr std::array<std::string_view, 15> rule_keys{
    "name",          "description", "priority", "subject",    "domains", "kinds",   "nodes", "modules",
    "module_sha256", "effect",      "limits",   "attributes", "trusted", "narrows", "audit"};
inline constexpr std::array<std::string_view, 4> subject_keys{"any", "users", "groups", "labels"};
inline constexpr std::array<std::string_view, 3> effects{"allow", "deny", "ask"};
inline constexpr std::array<std::string_view, 2> nodes{"misc", "accel"}; ///< of NodeKind, from 1 on
inline constexpr std::array<std::string_view, 4> audits{"none", "info", "notice", "warning"}; ///< in the order of Audit
inline constexpr std::array<std::string_view, 2> running_sessions{"keep", "end"};

inline constexpr std::array<std::string_view, 2> module_keys{"name", "sha256"};

// Of a table of tests.
inline constexpr std::array<std::string_view, 3> test_file_keys{"$schema", "description", "requests"};
inline constexpr std::array<std::string_view, 17> test_keys{
    "description", "user",        "uid",   "groups", "label",    "domain", "pd",     "node", "modules",
    "attributes",  "directories", "lanes", "memory", "priority", "stack",  "expect", "rule"};

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
template<auto Member>
void set_limit(Limits& to, std::uint64_t number) {
    auto& value = to.*Member;
    value = static_cast<std::remove_reference_t<decltype(value)>>(number);
}
inline constexpr std::array<LimitName, 15> limit_names{{
    {"sessions_per_uid", 1, 64, set_limit<&Limits::sessions_per_uid>},
    {"lanes", 1, 255, set_limit<&Limits::lanes>},
    {"mapped_bytes", 0, 1ULL << 36, set_limit<&Limits::mapped_bytes>},
    {"buffers", 0, 65536, set_limit<&Limits::buffers>},
    {"deadline_ms", 1, 86400000, set_limit<&Limits::deadline_ms>},
    {"lanes_per_uid", 1, 1785, set_limit<&Limits::lanes_per_uid>}, // 255 on each of 7 domains
    {"mapped_bytes_per_uid", 0, 1ULL << 40, set_limit<&Limits::mapped_bytes_per_uid>},
    {"fds_per_uid", 1, 1U << 20, set_limit<&Limits::fds_per_uid>},
    {"queued_per_uid", 0, 64, set_limit<&Limits::queued_per_uid>},
    {"opens_per_minute", 1, 1000000, set_limit<&Limits::opens_per_minute>},
    {"queue_ms", 0, 86400000, set_limit<&Limits::queue_ms>},
    {"reclaim_idle_ms", 0, 86400000, set_limit<&Limits::reclaim_idle_ms>},
    {"best_priority", 0, 255, set_limit<&Limits::best_priority>},
    {"stack_bytes", 0, 16U << 20, set_limit<&Limits::stack_bytes>},
    {"directories", 0, max_session_directories, set_limit<&Limits::directories>},
}};

} // namespace fastrpc::policy
