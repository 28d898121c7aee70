#include "policy/index.hpp"

#include "policy/rule.hpp"

#include <algorithm>
#include <queue>
#include <tuple>

namespace fastrpc::policy {

void Index::compile(const std::vector<Rule>& rules, std::span<const std::uint32_t> chosen) {
    static constexpr UidRange all{0, 0xFFFFFFFF};
    std::vector<Span> spans;
    for (const std::uint32_t rule : chosen) {
        const Who& who = rules[rule].who;
        if (!who.any && !who.by_user && !who.by_group) continue;
        const bool by_user = !who.any && who.by_user;
        const std::span<const UidRange> ranges = by_user ? std::span(who.uids) : std::span(&all, 1);
        for (const UidRange& range : ranges) {
            if (who.any || !who.by_group) {
                spans.push_back({everybody, range.first, range.last, rule});
                continue;
            }
            for (const GroupName& group : who.groups)
                if (group.gid) spans.push_back({*group.gid, range.first, range.last, rule});
        }
    }
    std::ranges::sort(spans, {}, [](const Span& span) { return std::tuple(span.gid, span.first, span.rule); });
    for (auto begin = spans.begin(); begin != spans.end() && begin->gid != everybody;) {
        const auto end = std::find_if(begin, spans.end(), [&](const Span& span) { return span.gid != begin->gid; });
        const auto first_step = static_cast<std::uint32_t>(steps_.size());
        add_row({begin, end});
        groups_.push_back(
            {static_cast<std::uint32_t>(begin->gid), first_step, static_cast<std::uint32_t>(steps_.size())});
        begin = end;
    }
    everybody_ = static_cast<std::uint32_t>(steps_.size());
    add_row({std::ranges::find(spans, everybody, &Span::gid), spans.end()});
    steps_.shrink_to_fit();
    groups_.shrink_to_fit();
}

// `spans` are in the order of their first uids.
void Index::add_row(std::span<const Span> spans) {
    std::vector<std::uint64_t> cuts;
    for (const Span& span : spans) {
        cuts.push_back(span.first);
        cuts.push_back(std::uint64_t{span.last} + 1);
    }
    std::ranges::sort(cuts);
    const auto [twice, end] = std::ranges::unique(cuts);
    cuts.erase(twice, end);
    // The spans that the cut stands in, the first rule on top; those that ended are dropped when they come up.
    const auto later = [](const Span* a, const Span* b) { return a->rule > b->rule; };
    std::priority_queue<const Span*, std::vector<const Span*>, decltype(later)> open(later);
    auto next = spans.begin();
    std::uint32_t before = no_rule;
    for (const std::uint64_t cut : cuts) {
        if (cut > 0xFFFFFFFF) break; // above the last uid
        for (; next != spans.end() && next->first == cut; ++next) open.push(&*next);
        while (!open.empty() && open.top()->last < cut) open.pop();
        const std::uint32_t rule = open.empty() ? no_rule : open.top()->rule;
        if (rule != before) steps_.push_back({static_cast<std::uint32_t>(cut), rule});
        before = rule;
    }
}

std::uint32_t Index::find(std::uint32_t begin, std::uint32_t end, std::uint32_t uid) const noexcept {
    const std::span<const Step> row = std::span(steps_).subspan(begin, end - begin);
    const auto after = std::ranges::upper_bound(row, uid, {}, &Step::from);
    return after == row.begin() ? no_rule : std::prev(after)->rule;
}

std::optional<std::uint32_t> Index::match(const Subject& subject) const noexcept {
    std::uint32_t first = find(everybody_, static_cast<std::uint32_t>(steps_.size()), subject.uid);
    for (const std::uint32_t gid : subject.gids) {
        const auto group = std::ranges::lower_bound(groups_, gid, {}, &Group::gid);
        if (group != groups_.end() && group->gid == gid)
            first = std::min(first, find(group->begin, group->end, subject.uid));
    }
    return first == no_rule ? std::nullopt : std::optional(first);
}

std::optional<std::uint32_t> Index::match(const Group& group, std::uint32_t uid) const noexcept {
    const std::uint32_t rule = find(group.begin, group.end, uid);
    return rule == no_rule ? std::nullopt : std::optional(rule);
}

std::size_t Index::bytes() const noexcept {
    return steps_.capacity() * sizeof(Step) + groups_.capacity() * sizeof(Group);
}

} // namespace fastrpc::policy
