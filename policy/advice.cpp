// The smallest change that turns a no into a yes: one rule for exactly this request, after all others but the one that
// stands in its way, so that no other request is decided by it that was decided before.
#include "policy/explain.hpp"
#include "policy/words.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::policy {
namespace {

std::string json_list(std::span<const std::string> words) {
    std::string text;
    for (const std::string& word : words) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", word);
    return "[" + text + "]";
}

// What a rule cannot say of the request; empty when it can say all.
std::string unspeakable(const Subject& subject, const Object& object) {
    if (subject.uid == 0xFFFFFFFF) return "no rule can name the uid 4294967295, which is no user's";
    if (!subject.label.empty() && !is_plain_name(subject.label)) return "no rule can name the label of the caller";
    for (const ModuleRequest& module : object.modules)
        if (!is_plain_name(module.name) || module.name.find('/') != std::string::npos)
            return "no rule can name one of the modules; ask for modules by the names of their files";
    if (object.directories > max_session_directories)
        return fmt::format("no rule can give more than {} directories; bring fewer", max_session_directories);
    std::uint32_t known = attributes_of(object.kind);
    for (const AttributeName& name : attribute_names) known |= name.bit;
    if ((object.attributes & ~known) != 0)
        return fmt::format("no rule can give attributes {}; ask without them",
                           attribute_list(object.attributes & ~known));
    return {};
}

std::string subject_json(const Subject& subject) {
    const std::string label = subject.label.empty() ? "" : fmt::format(R"(, "labels": ["{}"])", subject.label);
    return fmt::format(R"({{"users": [{}]{}}})", subject.uid, label);
}

std::string modules_json(const Object& object) {
    std::string text;
    for (const ModuleRequest& module : object.modules)
        text.append(text.empty() ? "" : ", ")
            .append(module.sha256
                        ? fmt::format(R"({{"name": "{}", "sha256": "{}"}})", module.name, to_string(*module.sha256))
                        : fmt::format("\"{}\"", module.name));
    return text.empty() ? "" : fmt::format(R"("modules": [{}], )", text);
}

// What the grant is to have beyond the least that a rule gives, as far as limits go.
std::string gifts_json(const Object& object) {
    std::vector<std::string> attributes;
    for (const AttributeName& name : attribute_names)
        if ((object.attributes & name.bit & ~attributes_of(object.kind)) != 0) attributes.emplace_back(name.name);
    std::string limits;
    const auto add = [&](std::string_view name, std::uint64_t asked) {
        if (asked == 0) return;
        const LimitName& limit = *std::ranges::find(limit_names, name, &LimitName::name);
        limits +=
            fmt::format("{}\"{}\": {}", limits.empty() ? "" : ", ", name, std::clamp(asked, limit.least, limit.most));
    };
    add("lanes", object.lanes);
    add("mapped_bytes", object.memory);
    add("best_priority", object.thread_priority);
    add("stack_bytes", object.thread_stack);
    add("directories", object.directories);
    return (attributes.empty() ? "" : fmt::format(R"(, "attributes": {})", json_list(attributes))) +
           (limits.empty() ? "" : fmt::format(R"(, "limits": {{{}}})", limits));
}

// A group that the subject could join to be allowed, or none.
const GroupName* helpful_group(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule) {
    const Index& index =
        policy.by_object[static_cast<std::size_t>(object.domain)][static_cast<std::size_t>(object.kind)];
    const auto before = rule != nullptr ? rule - policy.rules.data() : std::ssize(policy.rules);
    const auto joined = index.best_group(policy, subject, object, static_cast<std::uint32_t>(before));
    if (!joined) return nullptr;
    return &*std::ranges::find(policy.rules[joined->rule].who.groups, std::optional(joined->gid), &GroupName::gid);
}

} // namespace

std::optional<Change> smallest_change(const Compiled& policy, const Subject& subject, const Object& object,
                                      const Rule* rule, std::string& obstacle) {
    obstacle = unspeakable(subject, object);
    if (obstacle.empty() && rule != nullptr && rule->priority == most_priority)
        obstacle = fmt::format("an administrator would have to change {}: no priority is above its own", quoted(*rule));
    if (!obstacle.empty()) return std::nullopt;
    const std::string base = fmt::format("uid-{}-{}-{}", subject.uid, to_string(object.domain), to_string(object.kind));
    // Neither the name of a rule nor that of a file, which would then be masked, may be there already.
    const auto taken = [&](const std::string& wanted) {
        return policy.has_rule(wanted) || policy.files.contains(fmt::format("60-{}.json", wanted));
    };
    std::string name = base;
    for (int n = 2; taken(name); ++n) name = fmt::format("{}-{}", base, n);
    const std::string directory = policy.directories.empty() ? "/etc/fastrpcd/policy.d" : policy.directories.back();
    return Change{fmt::format("{}/60-{}.json", directory, name),
                  fmt::format(R"({{"rules": [{{"name": "{}", "priority": {}, "subject": {}, "domains": ["{}"], )"
                              R"("kinds": ["{}"], {}"effect": "allow"{}}}]}})",
                              name, rule != nullptr ? rule->priority + 1 : least_priority, subject_json(subject),
                              to_string(object.domain), to_string(object.kind), modules_json(object),
                              gifts_json(object))};
}

std::string advice(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule) {
    if (const GroupName* group = helpful_group(policy, subject, object, rule))
        return fmt::format("add the user to group {} and log in again: usermod -aG {} \"$(id -nu {})\"", group->text,
                           group->text, subject.uid);
    std::string obstacle;
    const std::optional<Change> change = smallest_change(policy, subject, object, rule, obstacle);
    if (!change) return obstacle;
    return fmt::format("an administrator can add {} with {}", change->file, change->json);
}

} // namespace fastrpc::policy
