// One rule, compiled: who, what, and what it gives. Matching is numbers only; the words are kept for explanations.
//
// A rule starts out matching nobody and nothing and granting nothing; each key of the file adds only what it names. A
// grant is made by Rule::grant alone, from the members of that one rule.
#pragma once

#include "policy/index.hpp"
#include "policy/policy.hpp"

#include <array>
#include <optional>
#include <set>
#include <string_view>

namespace fastrpc::policy {

enum class Effect : std::uint8_t { deny, allow };

/// Inclusive.
struct UidRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};

struct GroupName {
    std::string text;                 ///< as written in the file
    std::optional<std::uint32_t> gid; ///< none: this machine has no such group
};

/// The subject of a rule. Both lists, where given, must match; a list whose names are all unknown matches nobody.
struct Who {
    bool any = false;
    bool by_user = false;  ///< "users" was given
    bool by_group = false; ///< "groups" was given
    std::vector<UidRange> uids;
    std::vector<GroupName> groups;
    std::string users_text; ///< "alice, 1000, 2000-2999"

    [[nodiscard]] bool matches_user(const Subject& subject) const noexcept;
    /// The group that the subject is in, or none.
    [[nodiscard]] const GroupName* matching_group(const Subject& subject) const noexcept;
    [[nodiscard]] bool matches(const Subject& subject) const noexcept;
};

/// A set of Domain or PdKind as bits.
template<class T>
struct Set {
    std::uint32_t bits = 0;
    void add(T value) noexcept { bits |= 1U << static_cast<unsigned>(value); }
    [[nodiscard]] bool has(T value) const noexcept {
        const auto bit = static_cast<unsigned>(value); // above 31 when it comes from bytes of a peer
        return bit < 32 && (bits >> bit & 1U) != 0;
    }
};

/// What an allowing rule gives when it says nothing about a limit: enough for a small program, never more. A sum per
/// uid that is left out holds at least one session of the rule.
inline constexpr Limits default_limits{.sessions_per_uid = 1,
                                       .lanes = 4,
                                       .mapped_bytes = 16U << 20,
                                       .buffers = 16,
                                       .deadline_ms = 10000,
                                       .lanes_per_uid = 64,
                                       .mapped_bytes_per_uid = 1U << 30,
                                       .fds_per_uid = 4096,
                                       .queued_per_uid = 8,
                                       .opens_per_minute = 600,
                                       .queue_ms = 30000};

inline constexpr int least_priority = -1000;
inline constexpr int most_priority = 1000;

struct Rule {
    std::string name;
    std::string file;
    std::uint32_t line = 0; ///< of its name, as the column
    std::uint32_t column = 0;
    int priority = 0;
    Effect effect = Effect::deny;
    Who who;
    Set<Domain> domains;
    Set<PdKind> kinds;
    std::uint32_t attributes = 0; ///< those that the rule names
    Limits limits;
    bool trusted = false;

    [[nodiscard]] Grant grant(PdKind kind) const;
};

/// The rules in the order of evaluation, and for each object who is matched by which.
struct Compiled {
    std::vector<Rule> rules;
    std::array<std::array<Index, 8>, 8> by_object; ///< [domain][kind]
    std::vector<std::uint32_t> by_name;            ///< indices of the rules in the order of their names
    std::vector<std::string> directories;
    std::set<std::string, std::less<>> files; ///< without their directories
    std::uint64_t revision = 0;

    /// Sorts and indexes `rules`, which stand in file order.
    void finish();
    [[nodiscard]] bool has_rule(std::string_view name) const noexcept;
    /// The rule that decides, or none.
    [[nodiscard]] const Rule* match(const Subject& subject, const Object& object) const noexcept;
};

/// Bits of `kind` itself: an unsigned PD is created with UNSIGNED_MODULE whatever a rule says.
std::uint32_t attributes_of(PdKind kind) noexcept;
constexpr bool is_unsigned(PdKind kind) noexcept {
    return kind == PdKind::unsigned_user || kind == PdKind::system_unsigned;
}

/// One line for each two rules, in evaluation order, whose decision hangs on the names of their files.
void warn_of_overlaps(const std::vector<Rule>& rules, std::vector<std::string>& warnings);

/// Fills in reason and fix of `decision`; `rule` is the one that decided, or none.
void explain(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule,
             Decision& decision);

} // namespace fastrpc::policy
