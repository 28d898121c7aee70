#include "policy/policy.hpp"

#include "policy/rule.hpp"

#include <algorithm>

namespace fastrpc {

Policy::Policy() : compiled_(std::make_shared<const policy::Compiled>()) {}

// The hardware has the last word: a rule cannot allow what the domain does not have (KERNEL 1.1).
const policy::Rule* Policy::deciding_rule(const Subject& subject, const Object& object) const noexcept {
    const bool possible = !policy::is_unsigned(object.kind) || has_unsigned(object.domain);
    return possible ? compiled_->match(subject, object) : nullptr;
}

bool Policy::allows(const Subject& subject, const Object& object) const noexcept {
    const policy::Rule* rule = deciding_rule(subject, object);
    return rule != nullptr && rule->effect == policy::Effect::allow;
}

Decision Policy::decide(const Subject& subject, const Object& object) const {
    Decision decision;
    if (std::ranges::find(all_domains, object.domain) == all_domains.end() ||
        std::ranges::find(all_pd_kinds, object.kind) == all_pd_kinds.end()) {
        decision.reason = "the request names a domain or a kind that does not exist";
        decision.fix = "ask for a domain and a PD kind that are known by name";
        return decision;
    }
    const policy::Rule* rule = deciding_rule(subject, object);
    if (rule != nullptr) {
        decision.rule = rule->name;
        decision.file = rule->file;
        decision.line = rule->line;
        if (rule->effect == policy::Effect::allow) {
            decision.allowed = true;
            decision.grant = rule->grant(object.kind);
            decision.grant.revision = compiled_->revision;
        }
    }
    policy::explain(*compiled_, subject, object, rule, decision);
    return decision;
}

std::uint64_t Policy::revision() const noexcept {
    return compiled_->revision;
}

std::size_t Policy::rules() const noexcept {
    return compiled_->rules.size();
}

} // namespace fastrpc
