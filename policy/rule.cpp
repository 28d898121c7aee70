#include "policy/rule.hpp"

#include <algorithm>
#include <numeric>

namespace fastrpc::policy {

bool Who::matches_user(const Subject& subject) const noexcept {
    return std::ranges::any_of(
        uids, [&](const UidRange& range) { return range.first <= subject.uid && subject.uid <= range.last; });
}

const GroupName* Who::matching_group(const Subject& subject) const noexcept {
    const auto found = std::ranges::find_if(groups, [&](const GroupName& group) {
        return group.gid && std::ranges::find(subject.gids, *group.gid) != subject.gids.end();
    });
    return found == groups.end() ? nullptr : &*found;
}

bool Who::matches_label(const Subject& subject) const noexcept {
    return labels.empty() || (!subject.label.empty() && std::ranges::any_of(labels, [&](const Pattern& label) {
               return label.matches(subject.label);
           }));
}

std::uint32_t attributes_of(PdKind kind) noexcept {
    switch (kind) {
    case PdKind::unsigned_user:
        return attribute::unsigned_module;
    case PdKind::system_unsigned:
        return attribute::unsigned_module | attribute::system_unsigned_pd;
    case PdKind::signed_user:
    case PdKind::root:
    case PdKind::audio:
    case PdKind::sensors:
        return 0;
    }
    return 0;
}

Grant Rule::grant(const Object& object) const {
    return {.rule = name,
            .file = file,
            .line = line,
            .attributes = attributes | attributes_of(object.kind),
            .limits = limits,
            .trusted = trusted,
            .modules = {object.modules.begin(), object.modules.end()}};
}

bool Rule::is_on_node(const Object& object) const noexcept {
    if (what.nodes == 0) return true;
    if (object.node == NodeKind::unknown) return effect == Effect::deny;
    return (what.nodes >> static_cast<unsigned>(object.node) & 1U) != 0;
}

bool Rule::names_modules(const Object& object) const noexcept {
    const auto named = [&](const ModuleRequest& module) {
        return std::ranges::any_of(what.modules, [&](const ModulePattern& one) {
            const bool same = !one.hash || (module.sha256 ? *module.sha256 == *one.hash : effect == Effect::deny);
            return same && one.name.matches(module.name);
        });
    };
    if (what.modules.empty()) return true;
    if (effect != Effect::deny) return !object.modules.empty() && std::ranges::all_of(object.modules, named);
    return object.modules.empty() || std::ranges::any_of(object.modules, named);
}

bool Rule::names_hashes(const Object& object) const noexcept {
    if (what.hashes.empty()) return true;
    const auto listed = [&](const ModuleRequest& module) {
        return module.sha256 && std::ranges::binary_search(what.hashes, *module.sha256);
    };
    if (effect != Effect::deny) return !object.modules.empty() && std::ranges::all_of(object.modules, listed);
    return object.modules.empty() || std::ranges::any_of(object.modules, [&](const ModuleRequest& module) {
               return !module.sha256 || listed(module);
           });
}

bool Rule::gives_attributes(const Object& object) const noexcept {
    const std::uint32_t given = attributes | attributes_of(object.kind);
    return effect == Effect::deny || (object.attributes & ~given) == 0;
}

bool Rule::gives_size(const Object& object) const noexcept {
    if (narrows) return true;
    const bool urgent_enough =
        object.thread_priority == 0 || (limits.best_priority != 0 && limits.best_priority <= object.thread_priority);
    return urgent_enough && object.lanes <= limits.lanes && object.memory <= limits.mapped_bytes &&
           object.thread_stack <= limits.stack_bytes;
}

void Compiled::finish() {
    std::ranges::stable_sort(rules, std::ranges::greater{}, &Rule::priority);
    by_name.resize(rules.size());
    std::iota(by_name.begin(), by_name.end(), 0U);
    std::ranges::sort(by_name, {}, [&](std::uint32_t index) -> std::string_view { return rules[index].name; });
    for (const Rule& rule : rules) {
        for (const Pattern& label : rule.who.labels) labels.add(label);
        for (const ModulePattern& module : rule.what.modules) modules.add(module.name);
    }
    labels.finish();
    modules.finish();
    std::vector<std::uint32_t> chosen;
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds) {
            chosen.clear();
            for (std::uint32_t i = 0; i < rules.size(); ++i)
                if (rules[i].domains.has(domain) && rules[i].kinds.has(kind)) chosen.push_back(i);
            by_object[static_cast<std::size_t>(domain)][static_cast<std::size_t>(kind)].compile(*this, chosen);
        }
}

bool Compiled::has_rule(std::string_view name) const noexcept {
    return std::ranges::binary_search(by_name, name, {},
                                      [&](std::uint32_t index) -> std::string_view { return rules[index].name; });
}

const Rule* Compiled::match(const Subject& subject, const Object& object) const noexcept {
    // Values outside the enums are in no rule and in no table.
    const auto domain = static_cast<std::size_t>(object.domain);
    const auto kind = static_cast<std::size_t>(object.kind);
    if (domain >= by_object.size() || kind >= by_object[domain].size()) return nullptr;
    const std::optional<std::uint32_t> rule = by_object[domain][kind].match(*this, subject, object);
    return rule ? &rules[*rule] : nullptr;
}

} // namespace fastrpc::policy
