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

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fastrpc {

namespace settings {
struct DropIn; // drop_ins.hpp
}

namespace policy {
struct Compiled; // rule.hpp
struct Rule;
} // namespace policy

/// Who asks, as the bus says it; never what a client says of itself.
struct Subject {
    std::uint32_t uid = 0;
    std::vector<std::uint32_t> gids; ///< primary and supplementary
    std::string label;               ///< LSM label; no rule matches on it yet
};

/// What is asked for.
struct Object {
    Domain domain = Domain::cdsp;
    PdKind kind = PdKind::unsigned_user;
};

struct Decision {
    bool allowed = false;
    Grant grant;            ///< of an allowed request; empty otherwise
    std::string rule;       ///< the rule that decided; empty when none matched
    std::string file;       ///< where that rule stands
    std::uint32_t line = 0; ///< 1-based; 0 when none matched
    std::string reason;     ///< why, naming the rules; one line
    std::string fix;        ///< what would allow a denied request; one line, empty when allowed
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
