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

bool Who::matches(const Subject& subject) const noexcept {
    if (any) return true;
    if (!by_user && !by_group) return false;
    return (!by_user || matches_user(subject)) && (!by_group || matching_group(subject) != nullptr);
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

Grant Rule::grant(PdKind kind) const {
    return {.rule = name,
            .file = file,
            .line = line,
            .attributes = attributes | attributes_of(kind),
            .limits = limits,
            .trusted = trusted};
}

void Compiled::finish() {
    std::ranges::stable_sort(rules, std::ranges::greater{}, &Rule::priority);
    by_name.resize(rules.size());
    std::iota(by_name.begin(), by_name.end(), 0U);
    std::ranges::sort(by_name, {}, [&](std::uint32_t index) -> std::string_view { return rules[index].name; });
    std::vector<std::uint32_t> chosen;
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds) {
            chosen.clear();
            for (std::uint32_t i = 0; i < rules.size(); ++i)
                if (rules[i].domains.has(domain) && rules[i].kinds.has(kind)) chosen.push_back(i);
            by_object[static_cast<std::size_t>(domain)][static_cast<std::size_t>(kind)].compile(rules, chosen);
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
    const std::optional<std::uint32_t> rule = by_object[domain][kind].match(subject);
    return rule ? &rules[*rule] : nullptr;
}

} // namespace fastrpc::policy
