// One rule, compiled: who, what, and what it gives. Matching is numbers only; the words are kept for explanations.
//
// A rule starts out matching nobody and nothing and granting nothing; each key of the file adds only what it names. A
// grant is made by Rule::grant alone, from the members of that one rule.
#pragma once

#include "policy/index.hpp"
#include "policy/pattern.hpp"
#include "policy/policy.hpp"
#include "policy/sha256.hpp"

#include <array>
#include <optional>
#include <set>
#include <string_view>

namespace fastrpc::policy {

/// Inclusive.
struct UidRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};

struct GroupName {
    std::string text;                 ///< as written in the file
    std::optional<std::uint32_t> gid; ///< none: this machine has no such group
};

/// The subject of a rule. All lists that are given must match; one whose names are all unknown matches nobody.
struct Who {
    bool any = false;
    bool by_user = false;  ///< "users" was given
    bool by_group = false; ///< "groups" was given
    std::vector<UidRange> uids;
    std::vector<GroupName> groups;
    std::vector<Pattern> labels; ///< empty: any label, and none
    std::string users_text;      ///< "alice, 1000, 2000-2999"

    [[nodiscard]] bool matches_user(const Subject& subject) const noexcept;
    /// The group that the subject is in, or none.
    [[nodiscard]] const GroupName* matching_group(const Subject& subject) const noexcept;
    /// A label that is not known is none that a rule could name.
    [[nodiscard]] bool matches_label(const Subject& subject) const noexcept;
};

struct ModulePattern {
    Pattern name;
    std::optional<Sha256> hash; ///< of its file, when it must be that one
};

/// What a rule wants of a request beyond domain and kind; what is empty wants nothing.
///
/// A rule that allows or asks is about requests of which all is as it says: all modules are among its modules. A rule
/// that denies is about those that may come to be what it denies: one module is, or none is named, so that any could be
/// loaded. Else a request could slip past it by naming less.
struct What {
    std::vector<ModulePattern> modules;
    std::vector<Sha256> hashes; ///< sorted; of any module
    std::uint32_t nodes = 0;    ///< bits by NodeKind; none: any node
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
                                       .queue_ms = 30000,
                                       .directories = 1};

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
    What what;
    std::uint32_t attributes = 0; ///< those that the rule names
    Limits limits;
    bool narrows = true; ///< gives less than is asked for, where the limits say so, instead of not matching
    bool trusted = false;
    Audit audit = Audit::notice;

    [[nodiscard]] Grant grant(const Object& object) const;
    /// Whether the rule is about the modules of the request, by their names, and by the hashes of their files.
    [[nodiscard]] bool names_modules(const Object& object) const noexcept;
    [[nodiscard]] bool names_hashes(const Object& object) const noexcept;
    [[nodiscard]] bool is_on_node(const Object& object) const noexcept;
    /// Whether the grant has all attributes that are asked for; a rule that denies is about all of them.
    [[nodiscard]] bool gives_attributes(const Object& object) const noexcept;
    /// Whether the grant, of a rule that does not narrow, is as large as what is asked for.
    [[nodiscard]] bool gives_size(const Object& object) const noexcept;
    /// Whether the session may have as many directories of the client's as the request brings. Giving it fewer would
    /// make a program fail where nobody looks for the reason.
    [[nodiscard]] bool gives_directories(const Object& object) const noexcept {
        return effect == Effect::deny || object.directories <= limits.directories;
    }
    /// All of these; `object` has a domain and a kind of the rule.
    [[nodiscard]] bool is_about(const Object& object) const noexcept {
        return is_on_node(object) && gives_attributes(object) && gives_directories(object) && gives_size(object) &&
               names_modules(object) && names_hashes(object);
    }
    /// Whether is_about() is true of every request that asks for nothing special.
    [[nodiscard]] bool is_plain() const noexcept {
        return what.modules.empty() && what.hashes.empty() && what.nodes == 0 && narrows &&
               (effect == Effect::deny || limits.directories >= default_limits.directories);
    }
};

/// The rules in the order of evaluation, and for each object who is matched by which.
struct Compiled {
    std::vector<Rule> rules;
    std::array<std::array<Index, 8>, 8> by_object; ///< [domain][kind]
    std::vector<std::uint32_t> by_name;            ///< indices of the rules in the order of their names
    PatternTable labels, modules;                  ///< those of all rules
    std::vector<std::string> directories;
    std::set<std::string, std::less<>> files; ///< without their directories
    std::uint64_t revision = 0;
    bool ends_denied_sessions = false;

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

/// Whether a rule that says nothing else may not give what the request asks for.
inline bool asks_for_special(const Object& object) noexcept {
    return (object.attributes & ~attributes_of(object.kind)) != 0 || object.directories > default_limits.directories;
}

/// One line for each two rules, in evaluation order, whose decision hangs on the names of their files.
void warn_of_overlaps(const std::vector<Rule>& rules, std::vector<std::string>& warnings);

} // namespace fastrpc::policy
