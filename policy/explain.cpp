// The words of a decision: which rule, why it is about the request, and which rules nearly were.
#include "policy/explain.hpp"

#include "policy/words.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <ranges>

namespace fastrpc::policy {
namespace {

constexpr std::size_t most_told = 3;
constexpr std::size_t most_looked_at = 300; ///< rules, for what a refusal says; an explanation looks at all

std::string article(PdKind kind) {
    const std::string_view word = to_string(kind);
    return fmt::format("{} {} PD", word.starts_with('u') || word.starts_with('a') ? "an" : "a", word);
}

std::string list(const std::vector<Pattern>& patterns, std::string_view separator) {
    std::string text;
    for (const Pattern& pattern : patterns) text.append(text.empty() ? "" : separator).append(pattern.text());
    return text;
}

std::string list(const std::vector<ModulePattern>& modules) {
    std::string text;
    for (const ModulePattern& module : modules) {
        text.append(text.empty() ? "" : " or ").append(module.name.text());
        if (module.hash) text += fmt::format(" (SHA-256 {}...)", to_string(*module.hash).substr(0, 12));
    }
    return text;
}

std::string node_list(std::uint32_t bits) {
    std::string text;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if ((bits >> (i + 1) & 1U) != 0) text.append(text.empty() ? "" : ", ").append(nodes[i]);
    return text;
}

std::string hash_count(const Rule& rule) {
    const std::size_t count = rule.what.hashes.size();
    return count == 1 ? "one SHA-256" : fmt::format("one of {} SHA-256", count);
}

std::string group_list(const Who& who) {
    std::string text = "members of";
    std::string_view separator = " group ";
    for (const GroupName& group : who.groups) {
        text += fmt::format("{}{}{}", separator, group.text, group.gid ? "" : " (which this machine does not have)");
        separator = " or ";
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
    const auto label =
        std::ranges::find_if(rule.who.labels, [&](const Pattern& one) { return one.matches(subject.label); });
    if (label != rule.who.labels.end())
        text += fmt::format("{}its label is {}", text.empty() ? "" : " and ", label->text());
    return text;
}

std::string limits_wanted(const Rule& rule) {
    const Limits& limits = rule.limits;
    return fmt::format("for no more than {} lanes, {} bytes of memory, {} bytes of stack and {}", limits.lanes,
                       limits.mapped_bytes, limits.stack_bytes,
                       limits.best_priority == 0 ? "no priority"
                                                 : fmt::format("priority {} or less urgent", limits.best_priority));
}

std::string directory_count(std::uint32_t count) {
    return count == 0 ? "no directory" : count == 1 ? "one directory" : fmt::format("{} directories", count);
}

std::string directories_wanted(std::uint32_t most) {
    return fmt::format("only with {}{} of the client's (its limit \"directories\")", most > 1 ? "up to " : "",
                       directory_count(most));
}

std::string_view verb(Effect effect) {
    return effect == Effect::allow ? "allows" : effect == Effect::ask ? "asks polkit about" : "denies";
}

// Of the first rules only: a refusal must not cost more the more rules there are, since anybody may ask for many.
std::string near_misses(const Compiled& policy, const Subject& subject, const Object& object) {
    std::string text;
    std::size_t count = 0;
    for (const Rule& rule : policy.rules | std::views::take(most_looked_at)) {
        if (rule.effect == Effect::deny) continue;
        const std::optional<std::string_view> condition = only_miss(rule, subject, object);
        if (!condition) continue;
        if (++count > most_told) return text + ", and others";
        text += fmt::format("{}{} {} it, but {}", count == 1 ? "; nearest: " : ", ", quoted(rule), verb(rule.effect),
                            wanted(rule, *condition, object));
    }
    if (policy.rules.size() > most_looked_at)
        text += fmt::format("; \"fastrpcctl policy explain\" looks at all {} rules", policy.rules.size());
    return text;
}

std::string request_text(const Object& object) {
    std::string text = fmt::format("{} on {}", article(object.kind), to_string(object.domain));
    if (const std::uint32_t asked = object.attributes & ~attributes_of(object.kind); asked != 0)
        text += " with attributes " + attribute_list(asked);
    // One is what most programs bring.
    if (object.directories > default_limits.directories)
        text += fmt::format(" with {} of the client's", directory_count(object.directories));
    return text;
}

} // namespace

std::string quoted(const Rule& rule) {
    return fmt::format("rule \"{}\" ({}:{})", rule.name, rule.file, rule.line);
}

std::string attribute_list(std::uint32_t attributes) {
    std::string text;
    const auto add = [&](std::string_view word) { text.append(text.empty() ? "" : ", ").append(word); };
    for (const AttributeName& name : attribute_names) {
        if ((attributes & name.bit) != 0) add(name.name);
        attributes &= ~name.bit;
    }
    if (attributes != 0) add(fmt::format("0x{:x}", attributes));
    return text;
}

std::string audience(const Who& who) {
    if (who.any) return "everybody";
    std::string text;
    if (who.by_user) text = "users " + who.users_text;
    if (who.by_group) text += (text.empty() ? "" : " who are ") + group_list(who);
    if (!who.labels.empty()) text += (text.empty() ? "label " : " with label ") + list(who.labels, " or ");
    return text;
}

std::string wishes(const Rule& rule) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (rule.what.nodes != 0) add("nodes " + node_list(rule.what.nodes));
    if (!rule.what.modules.empty()) add("modules " + list(rule.what.modules));
    if (!rule.what.hashes.empty()) add("modules with " + hash_count(rule));
    if (rule.attributes != 0) add("attributes " + attribute_list(rule.attributes));
    if (!rule.narrows) add("not beyond its limits");
    return text;
}

std::optional<std::string_view> only_miss(const Rule& rule, const Subject& subject, const Object& object) {
    std::optional<std::string_view> missed;
    const auto holds = [&](std::string_view condition, bool met) {
        if (met) return true;
        if (missed) return false; // the second one
        missed = condition;
        return true;
    };
    const Who& who = rule.who;
    const bool near =
        holds("domains", rule.domains.has(object.domain)) && holds("kinds", rule.kinds.has(object.kind)) &&
        holds("users", !who.by_user || who.matches_user(subject)) &&
        holds("groups", !who.by_group || who.matching_group(subject) != nullptr) &&
        holds("labels", who.matches_label(subject)) && holds("nodes", rule.is_on_node(object)) &&
        holds("modules", rule.names_modules(object)) && holds("module_sha256", rule.names_hashes(object)) &&
        holds("attributes", rule.gives_attributes(object)) && holds("directories", rule.gives_directories(object)) &&
        holds("limits", rule.gives_size(object));
    return near ? missed : std::nullopt;
}

std::string wanted(const Rule& rule, std::string_view condition, const Object& object) {
    if (condition == "domains") return "only on " + list(rule.domains, all_domains);
    if (condition == "kinds") return "only for kind " + list(rule.kinds, all_pd_kinds);
    if (condition == "users") return "only to users " + rule.who.users_text;
    if (condition == "groups") return "only to " + group_list(rule.who);
    if (condition == "labels") return "only to label " + list(rule.who.labels, " or ");
    if (condition == "nodes") return "only on a node of kind " + node_list(rule.what.nodes);
    const std::string_view unnamed = object.modules.empty() ? ", and the request names none" : "";
    if (condition == "modules") return fmt::format("only for modules {}{}", list(rule.what.modules), unnamed);
    if (condition == "module_sha256") return fmt::format("only for modules with {}{}", hash_count(rule), unnamed);
    if (condition == "attributes")
        return rule.attributes == 0 ? "without attributes" : "only with attributes " + attribute_list(rule.attributes);
    if (condition == "directories") return directories_wanted(rule.limits.directories);
    return limits_wanted(rule);
}

void explain(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule,
             Decision& decision) {
    const std::string request = request_text(object);
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
    if (decision.ask)
        decision.reason = fmt::format("{} asks polkit whether uid {} may have {}: {}", quoted(*rule), subject.uid,
                                      request, match_reason(*rule, subject));
    else if (rule != nullptr)
        decision.reason =
            fmt::format("{} denies uid {} {}: {}", quoted(*rule), subject.uid, request, match_reason(*rule, subject));
    else if (policy.rules.empty())
        decision.reason = fmt::format("no rule allows uid {} {}: the policy has no rules at all", subject.uid, request);
    else
        decision.reason = fmt::format("no rule allows uid {} {}", subject.uid, request);
    if (!decision.ask) decision.reason += near_misses(policy, subject, object);
    decision.fix = advice(policy, subject, object, rule);
}

} // namespace fastrpc::policy
