#include "policy/policy.hpp"

#include "policy/explain.hpp"
#include "policy/words.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

namespace fastrpc {
namespace {

bool exists(const Object& object) {
    return std::ranges::find(all_domains, object.domain) != all_domains.end() &&
           std::ranges::find(all_pd_kinds, object.kind) != all_pd_kinds.end();
}

// The hardware has the last word: a rule cannot allow what the domain does not have (KERNEL 1.1).
bool is_possible(const Object& object) noexcept {
    return !policy::is_unsigned(object.kind) || has_unsigned(object.domain);
}

} // namespace

std::string_view policy::to_string(Effect effect) noexcept {
    return effect == Effect::allow ? "allow" : effect == Effect::ask ? "ask" : "deny";
}

std::string_view to_string(Audit audit) noexcept {
    return policy::audits.at(static_cast<std::size_t>(audit));
}

NodeKind node_kind_from(std::string_view word) noexcept {
    const auto* const found = std::ranges::find(policy::nodes, word);
    return found == policy::nodes.end() ? NodeKind::unknown : static_cast<NodeKind>(found - policy::nodes.begin() + 1);
}

Policy::Policy() : compiled_(std::make_shared<const policy::Compiled>()) {}

const policy::Rule* Policy::deciding_rule(const Subject& subject, const Object& object) const noexcept {
    return is_possible(object) ? compiled_->match(subject, object) : nullptr;
}

bool Policy::allows(const Subject& subject, const Object& object) const noexcept {
    const policy::Rule* rule = deciding_rule(subject, object);
    return rule != nullptr && rule->effect == policy::Effect::allow;
}

Decision Policy::decide(const Subject& subject, const Object& object) const {
    Decision decision;
    if (!exists(object)) {
        decision.reason = "the request names a domain or a kind that does not exist";
        decision.fix = "ask for a domain and a PD kind that are known by name";
        return decision;
    }
    const policy::Rule* rule = deciding_rule(subject, object);
    if (rule != nullptr) {
        decision.rule = rule->name;
        decision.file = rule->file;
        decision.line = rule->line;
        decision.audit = rule->audit;
        if (rule->effect != policy::Effect::deny) {
            decision.allowed = rule->effect == policy::Effect::allow;
            decision.ask = !decision.allowed;
            decision.grant = rule->grant(object);
            decision.grant.revision = compiled_->revision;
        }
    }
    policy::explain(*compiled_, subject, object, rule, decision);
    return decision;
}

Explanation Policy::explain(const Subject& subject, const Object& object) const {
    Explanation all{.decision = decide(subject, object)};
    if (!exists(object)) return all;
    for (const policy::Rule& rule : compiled_->rules) {
        const std::optional<std::string_view> condition = policy::only_miss(rule, subject, object);
        if (!condition || ++all.near_count > most_near_misses) continue;
        all.near.push_back({.rule = rule.name,
                            .file = rule.file,
                            .line = rule.line,
                            .column = rule.column,
                            .effect = rule.effect,
                            .condition = std::string(*condition),
                            .text = policy::wanted(rule, *condition, object)});
    }
    if (all.decision.allowed || !is_possible(object)) return all;
    std::string obstacle; // decision.fix says it
    const auto change = policy::smallest_change(*compiled_, subject, object, deciding_rule(subject, object), obstacle);
    if (change) std::tie(all.change_file, all.change_json) = std::tie(change->file, change->json);
    return all;
}

std::vector<RuleInfo> Policy::list() const {
    std::vector<RuleInfo> all;
    for (const policy::Rule& rule : compiled_->rules) {
        const std::string wishes = policy::wishes(rule);
        all.push_back({.name = rule.name,
                       .file = rule.file,
                       .line = rule.line,
                       .priority = rule.priority,
                       .effect = rule.effect,
                       .subject = policy::audience(rule.who),
                       .object = policy::list(rule.kinds, all_pd_kinds) + " on " +
                                 policy::list(rule.domains, all_domains) + (wishes.empty() ? "" : "; " + wishes),
                       .audit = rule.audit});
    }
    return all;
}

bool Policy::ends_denied_sessions() const noexcept {
    return compiled_->ends_denied_sessions;
}

std::uint64_t Policy::revision() const noexcept {
    return compiled_->revision;
}

std::size_t Policy::rules() const noexcept {
    return compiled_->rules.size();
}

} // namespace fastrpc
