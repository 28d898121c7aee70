// The policy: who may have which PD on which DSP (design 6).
//
// A policy is an ordered list of rules. The first rule that matches both subject and object decides; without a match
// the answer is no. Everything that a session may do comes from that one rule: no other rule, default or missing field
// adds to it. A decision carries its explanation: the rule, where it stands, why, and what would change the answer.
//
// docs: the format of the files is config/schema/policy.schema.json.
#pragma once

#include "base/result.hpp"
#include "ipc/domain.hpp"
#include "ipc/grant.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastrpc {

namespace settings {
struct DropIn; // drop_ins.hpp
}

namespace policy {
struct Compiled; // rule.hpp
struct Rule;

enum class Effect : std::uint8_t { deny, allow, ask };
/// "deny", "allow", "ask".
std::string_view to_string(Effect effect) noexcept;
} // namespace policy

/// Who asks, as the bus says it; never what a client says of itself.
struct Subject {
    std::uint32_t uid = 0;
    std::vector<std::uint32_t> gids; ///< primary and supplementary
    std::string label;               ///< LSM label; empty: the bus knows of none
};

/// A module that a request names, with the hash of its file when the client passed that: the PD may then load these and
/// no others of the client's.
using ModuleRequest = GrantedModule;

/// The driver behind the node that a session will be on: the upstream one (KERNEL 1.1) or QDA (KERNEL 2.1).
enum class NodeKind : std::uint8_t { unknown, misc, accel };
/// Of "misc" or "accel"; unknown for anything else.
NodeKind node_kind_from(std::string_view word) noexcept;

/// What is asked for. 0 and empty: not asked for, what the rule gives will do.
struct Object {
    Domain domain = Domain::cdsp;
    PdKind kind = PdKind::unsigned_user;
    std::uint32_t attributes = 0; ///< process attributes beyond those of the kind
    std::span<const ModuleRequest> modules = {};
    std::uint32_t thread_priority = 0; ///< 1 (most urgent) to 255
    std::uint32_t thread_stack = 0;    ///< bytes
    std::uint64_t memory = 0;          ///< bytes
    std::uint32_t lanes = 0;
    std::uint32_t directories = 0;     ///< of the client's
    NodeKind node = NodeKind::unknown; ///< of the machine, not of the request
};

/// How loud a decision is in the journal.
enum class Audit : std::uint8_t { none, info, notice, warning };
/// "none", "info", ... as rules say it.
std::string_view to_string(Audit audit) noexcept;

struct Decision {
    bool allowed = false;
    bool ask = false; ///< neither allowed nor denied: polkit decides whether the grant is given
    Audit audit = Audit::notice;
    Grant grant;            ///< of an allowed request, or of one that polkit decides; empty otherwise
    std::string rule;       ///< the rule that decided; empty when none matched
    std::string file;       ///< where that rule stands
    std::uint32_t line = 0; ///< 1-based; 0 when none matched
    std::string reason;     ///< why, naming the rules; one line
    std::string fix;        ///< what would allow a denied request; one line, empty when allowed
};

/// A rule that does not match for one condition alone.
struct NearMiss {
    std::string rule;
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    policy::Effect effect = policy::Effect::deny; ///< what the rule would have said
    std::string condition;                        ///< key of the file that failed: "domains", "groups", "modules"...
    std::string text;                             ///< what the rule wants there; one line
};

/// At most so many near misses are told; the count says how many there are.
inline constexpr std::size_t most_near_misses = 16;

/// Why a decision came out as it did, in full.
struct Explanation {
    Decision decision;
    std::vector<NearMiss> near; ///< in the order of evaluation
    std::size_t near_count = 0;
    /// The smallest change to the policy that lets this request pass and no other, unless it is allowed or no rule can
    /// allow it: a new file, and its text, which the loader takes.
    std::string change_file;
    std::string change_json;
};

/// A rule as `policy list` shows it.
struct RuleInfo {
    std::string name;
    std::string file;
    std::uint32_t line = 0;
    int priority = 0;
    policy::Effect effect = policy::Effect::deny;
    std::string subject; ///< "everybody", "users alice, 2000-2999 who are members of group fastrpc"
    std::string object;  ///< "unsigned on cdsp, cdsp1", with what else the rule wants
    Audit audit = Audit::notice;
};

/// Immutable and cheap to copy; a reload builds a new one and replaces the old.
class Policy {
public:
    /// No rules: denies everything.
    Policy();

    /// Reads every *.json of `directories`, of which a later one masks files of the same name in an earlier one; rules
    /// of equal priority stand in the order of the file names. A directory that does not exist is skipped.
    /// Anything wrong fails the whole load with ErrorKind::invalid (content) or ErrorKind::denied (owner or mode) and a
    /// text "file:line:column: what"; the caller then keeps the policy that it has. `warnings` gets one line for each
    /// thing that is suspicious but safe, such as a user that does not exist, or two rules of equal priority in two
    /// files of which one allows what the other denies.
    /// Asks the user database (NSS) for names, so it may take its time; decide() never does.
    static Result<Policy> load(std::span<const std::string> directories, std::vector<std::string>& warnings);

    /// The same of files that were read already, which stand in the order of their names. `directories` are for advice
    /// on where to put a rule.
    static Result<Policy> compile(std::span<const settings::DropIn> files, std::span<const std::string> directories,
                                  std::vector<std::string>& warnings);

    /// Whether decide() would allow it, and no more: a search in sorted numbers, without allocation.
    [[nodiscard]] bool allows(const Subject& subject, const Object& object) const noexcept;
    [[nodiscard]] Decision decide(const Subject& subject, const Object& object) const;
    /// The same decision with all that can be said about it; goes through all rules.
    [[nodiscard]] Explanation explain(const Subject& subject, const Object& object) const;
    /// All rules in the order of evaluation.
    [[nodiscard]] std::vector<RuleInfo> list() const;

    /// Whether sessions that this policy would deny, but one before it allowed, are to end when it comes into force:
    /// "running_sessions": "end" in any file.
    [[nodiscard]] bool ends_denied_sessions() const noexcept;

    /// Fingerprint of the files read: equal content, equal revision. 0 for Policy().
    [[nodiscard]] std::uint64_t revision() const noexcept;
    /// Number of rules.
    [[nodiscard]] std::size_t rules() const noexcept;

private:
    [[nodiscard]] const policy::Rule* deciding_rule(const Subject& subject, const Object& object) const noexcept;
    explicit Policy(std::shared_ptr<const policy::Compiled> compiled) noexcept : compiled_(std::move(compiled)) {}
    std::shared_ptr<const policy::Compiled> compiled_;
};

} // namespace fastrpc
