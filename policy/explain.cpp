// Why a decision came out as it did, and the smallest change that turns a no into a yes.
//
// A suggestion is never guessed: the change is tried on the policy in memory first, and only one that would work is
// made. No user database is asked here; that could block, and the numbers of the bus are what was decided on.
#include "policy/rule.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <string>

namespace fastrpc::policy {
namespace {

constexpr std::size_t most_near = 3;

std::string quoted(const Rule& rule) {
    return fmt::format("rule \"{}\" ({}:{})", rule.name, rule.file, rule.line);
}

std::string article(PdKind kind) {
    const std::string_view word = to_string(kind);
    return fmt::format("{} {} PD", word.starts_with('u') || word.starts_with('a') ? "an" : "a", word);
}

template<class T, std::size_t N>
std::string list(const Set<T>& set, const std::array<T, N>& all) {
    std::string text;
    for (const T value : all)
        if (set.has(value)) text += fmt::format("{}{}", text.empty() ? "" : ", ", to_string(value));
    return text;
}

// "members of group fastrpc" for a rule that did not match the subject.
std::string audience(const Rule& rule) {
    std::string text;
    if (rule.who.by_user) text = "users " + rule.who.users_text;
    if (rule.who.by_group) {
        text += text.empty() ? "members of" : " who are members of";
        std::string_view separator = " group ";
        for (const GroupName& group : rule.who.groups) {
            text +=
                fmt::format("{}{}{}", separator, group.text, group.gid ? "" : " (which this machine does not have)");
            separator = " or ";
        }
    }
    return text;
}

// Why the subject is one that the rule is about.
std::string match_reason(const Rule& rule, const Subject& subject) {
    if (rule.who.any) return "it is for everybody";
    std::string text;
    if (rule.who.by_user) text = fmt::format("uid {} is among its users", subject.uid);
    if (const GroupName* group = rule.who.matching_group(subject))
        text += fmt::format("{}uid {} is in group {}", text.empty() ? "" : " and ", subject.uid, group->text);
    return text;
}

// Whether an allowing rule misses the request by one condition.
bool is_near(const Rule& rule, const Subject& subject, const Object& object) {
    if (rule.effect != Effect::allow) return false;
    const bool domain = rule.domains.has(object.domain);
    const bool kind = rule.kinds.has(object.kind);
    if (!domain && !kind) return false;
    return rule.who.matches(subject) != (domain && kind);
}

// What such a rule allows instead.
std::string near_miss(const Rule& rule, const Object& object) {
    if (!rule.domains.has(object.domain))
        return fmt::format("{} allows it, but only on {}", quoted(rule), list(rule.domains, all_domains));
    if (!rule.kinds.has(object.kind))
        return fmt::format("{} allows it, but only for kind {}", quoted(rule), list(rule.kinds, all_pd_kinds));
    return fmt::format("{} allows it, but only to {}", quoted(rule), audience(rule));
}

// Stops at the first that it does not tell: a refusal must not cost more the more rules there are.
std::string near_misses(const Compiled& policy, const Subject& subject, const Object& object) {
    std::string text;
    std::size_t count = 0;
    for (const Rule& rule : policy.rules) {
        if (!is_near(rule, subject, object)) continue;
        if (++count > most_near) return text + ", and others";
        text += (count == 1 ? "; nearest: " : ", ") + near_miss(rule, object);
    }
    return text;
}

// A group that the subject could join to be allowed, or none; `rule` is the one that decides now, or none. In one more
// group, the first of the rules that match now and of those of that group decides.
const GroupName* helpful_group(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule) {
    const Index& index =
        policy.by_object[static_cast<std::size_t>(object.domain)][static_cast<std::size_t>(object.kind)];
    auto best = static_cast<std::uint32_t>(rule != nullptr ? rule - policy.rules.data() : std::ssize(policy.rules));
    const GroupName* helpful = nullptr;
    for (const Index::Group& group : index.groups()) {
        const std::optional<std::uint32_t> first = index.match(group, subject.uid);
        if (!first || *first >= best || policy.rules[*first].effect != Effect::allow) continue;
        best = *first;
        helpful = &*std::ranges::find(policy.rules[best].who.groups, std::optional(group.gid), &GroupName::gid);
    }
    return helpful;
}

// A file with one rule for exactly this request; `above` is the rule that denies it now, or none.
std::string new_rule(const Compiled& policy, const Subject& subject, const Object& object, const Rule* above) {
    const std::string base = fmt::format("uid-{}-{}-{}", subject.uid, to_string(object.domain), to_string(object.kind));
    // Neither the name of a rule nor that of a file, which would then be masked, may be there already.
    const auto taken = [&](const std::string& wanted) {
        return policy.has_rule(wanted) || policy.files.contains(fmt::format("60-{}.json", wanted));
    };
    std::string name = base;
    for (int n = 2; taken(name); ++n) name = fmt::format("{}-{}", base, n);
    const std::string priority =
        above != nullptr && above->priority >= 0 ? fmt::format(R"("priority": {}, )", above->priority + 1) : "";
    const std::string directory = policy.directories.empty() ? "/etc/fastrpcd/policy.d" : policy.directories.back();
    return fmt::format("an administrator can add {}/60-{}.json with "
                       R"({{"rules": [{{"name": "{}", {}"subject": {{"users": [{}]}}, "domains": ["{}"], )"
                       R"("kinds": ["{}"], "effect": "allow"}}]}})",
                       directory, name, name, priority, subject.uid, to_string(object.domain), to_string(object.kind));
}

std::string fix(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule) {
    if (const GroupName* group = helpful_group(policy, subject, object, rule))
        return fmt::format("add the user to group {} and log in again: usermod -aG {} \"$(id -nu {})\"", group->text,
                           group->text, subject.uid);
    if (rule != nullptr && rule->priority == most_priority)
        return fmt::format("an administrator would have to change {}: no priority is above its own", quoted(*rule));
    return new_rule(policy, subject, object, rule);
}

} // namespace

void explain(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule,
             Decision& decision) {
    const std::string request = fmt::format("{} on {}", article(object.kind), to_string(object.domain));
    if (decision.allowed) {
        decision.reason =
            fmt::format("{} allows uid {} {}: {}", quoted(*rule), subject.uid, request, match_reason(*rule, subject));
        return;
    }
    if (is_unsigned(object.kind) && !has_unsigned(object.domain)) {
        Set<Domain> capable;
        for (const Domain domain : all_domains)
            if (has_unsigned(domain)) capable.add(domain);
        decision.reason = fmt::format("{} has no unsigned PDs, whatever the policy says", to_string(object.domain));
        decision.fix =
            fmt::format("ask for a domain that has them ({}), or for a signed PD", list(capable, all_domains));
        return;
    }
    if (rule != nullptr)
        decision.reason =
            fmt::format("{} denies uid {} {}: {}", quoted(*rule), subject.uid, request, match_reason(*rule, subject));
    else if (policy.rules.empty())
        decision.reason = fmt::format("no rule allows uid {} {}: the policy has no rules at all", subject.uid, request);
    else
        decision.reason = fmt::format("no rule allows uid {} {}", subject.uid, request);
    decision.reason += near_misses(policy, subject, object);
    decision.fix = fix(policy, subject, object, rule);
}

} // namespace fastrpc::policy
