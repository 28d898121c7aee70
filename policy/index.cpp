#include "policy/index.hpp"

#include "policy/rule.hpp"

#include <algorithm>
#include <queue>
#include <tuple>

namespace fastrpc::policy {

struct Index::Draft {
    std::uint32_t module = PatternTable::none;
    std::uint32_t label = PatternTable::none;
    std::uint64_t gid = everybody;
    Span span;
    [[nodiscard]] auto row() const { return std::tuple(module, label, gid); }
};

struct Index::Request {
    const std::vector<Rule>& rules;
    const Object& object;
    std::uint32_t uid;
    bool asks; ///< for what a plain rule may not give
};

void Index::compile(const Compiled& policy, std::span<const std::uint32_t> chosen) {
    std::vector<Draft> drafts;
    for (const std::uint32_t rule : chosen) draft(policy, rule, drafts);
    std::ranges::sort(drafts, {}, [](const Draft& draft) {
        return std::tuple(draft.module, draft.label, draft.gid, draft.span.first, draft.span.rule);
    });
    for (auto begin = drafts.cbegin(); begin != drafts.cend();) {
        const auto end = std::find_if(begin, drafts.cend(), [&](const Draft& d) { return d.row() != begin->row(); });
        if (blocks_.empty() || blocks_.back().module != begin->module || blocks_.back().label != begin->label) {
            const auto first_row = static_cast<std::uint32_t>(rows_.size());
            blocks_.push_back({begin->module, begin->label, {first_row, first_row}});
        }
        add_row(policy, {begin, end});
        blocks_.back().rows.end = static_cast<std::uint32_t>(rows_.size());
        begin = end;
    }
    blocks_.shrink_to_fit();
    rows_.shrink_to_fit();
    steps_.shrink_to_fit();
    spans_.shrink_to_fit();
}

// One for each combination of uids, group, label and module. A rule that denies modules is about requests that name
// none, too, so it stands where those look.
void Index::draft(const Compiled& policy, std::uint32_t number, std::vector<Draft>& drafts) {
    static constexpr UidRange all{0, 0xFFFFFFFF};
    const Rule& rule = policy.rules[number];
    const Who& who = rule.who;
    if (!who.any && !who.by_user && !who.by_group && who.labels.empty()) return;
    const std::span<const UidRange> uids = who.by_user ? std::span(who.uids) : std::span(&all, 1);
    std::vector<std::uint64_t> gids;
    for (const GroupName& group : who.groups)
        if (group.gid) gids.push_back(*group.gid);
    if (!who.by_group) gids = {everybody};
    std::vector<std::uint32_t> labels, modules;
    for (const Pattern& label : who.labels) labels.push_back(policy.labels.number_of(label));
    if (rule.effect != Effect::deny)
        for (const ModulePattern& module : rule.what.modules) modules.push_back(policy.modules.number_of(module.name));
    if (labels.empty()) labels = {PatternTable::none};
    if (modules.empty()) modules = {PatternTable::none};
    for (const UidRange& range : uids)
        for (const std::uint64_t gid : gids)
            for (const std::uint32_t label : labels)
                for (const std::uint32_t module : modules)
                    drafts.push_back({module, label, gid, {range.first, range.last, range.last, number}});
}

void Index::add_row(const Compiled& policy, std::span<const Draft> drafts) {
    std::vector<Span> plain, picky;
    for (const Draft& draft : drafts) (policy.rules[draft.span.rule].is_plain() ? plain : picky).push_back(draft.span);
    Row row{.gid = drafts.front().gid};
    row.steps = add_steps(plain);
    row.plain = add_tree(plain);
    row.picky = add_tree(picky);
    rows_.push_back(row);
}

// `spans` are in the order of their first uids.
Index::Part Index::add_steps(std::span<const Span> spans) {
    const auto begin = static_cast<std::uint32_t>(steps_.size());
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
    return {begin, static_cast<std::uint32_t>(steps_.size())};
}

Index::Part Index::add_tree(std::vector<Span>& spans) {
    const auto begin = static_cast<std::uint32_t>(spans_.size());
    set_most(spans);
    spans_.insert(spans_.end(), spans.begin(), spans.end());
    return {begin, static_cast<std::uint32_t>(spans_.size())};
}

std::uint32_t Index::set_most(std::span<Span> tree) noexcept {
    if (tree.empty()) return 0;
    Span& root = tree[tree.size() / 2];
    const std::uint32_t before = set_most(tree.first(tree.size() / 2));
    const std::uint32_t after = set_most(tree.subspan(tree.size() / 2 + 1));
    return root.most = std::max({root.last, before, after});
}

template<class Take>
void Index::each_block(const Compiled& policy, const Subject& subject, const Object& object, const Take& take) const {
    const std::string_view module = object.modules.empty() ? std::string_view() : object.modules.front().name;
    policy.modules.each(module, [&](std::uint32_t module_number) {
        policy.labels.each(subject.label, [&](std::uint32_t label_number) {
            const auto wanted = std::pair(module_number, label_number);
            const auto block = std::ranges::lower_bound(blocks_, wanted, {},
                                                        [](const Block& b) { return std::pair(b.module, b.label); });
            if (block != blocks_.end() && std::pair(block->module, block->label) == wanted) take(*block);
        });
    });
}

const Index::Row* Index::find_row(Part rows, std::uint64_t gid) const noexcept {
    const auto end = rows_.begin() + rows.end;
    const auto found = std::ranges::lower_bound(rows_.begin() + rows.begin, end, gid, {}, &Row::gid);
    return found != end && found->gid == gid ? &*found : nullptr;
}

std::uint32_t Index::find_step(Part steps, std::uint32_t uid) const noexcept {
    const std::span<const Step> row = std::span(steps_).subspan(steps.begin, steps.end - steps.begin);
    const auto after = std::ranges::upper_bound(row, uid, {}, &Step::from);
    return after == row.begin() ? no_rule : std::prev(after)->rule;
}

// The rules whose uids hold that of the request, as far as they come before the best one so far.
void Index::search(std::span<const Span> tree, const Request& request, std::uint32_t& best) noexcept {
    while (!tree.empty()) {
        const Span& root = tree[tree.size() / 2];
        if (root.most < request.uid) return;
        search(tree.first(tree.size() / 2), request, best);
        if (root.first > request.uid) return;
        if (root.last >= request.uid && root.rule < best && request.rules[root.rule].is_about(request.object))
            best = root.rule;
        tree = tree.subspan(tree.size() / 2 + 1);
    }
}

std::uint32_t Index::first_in(const Row& row, const Request& request, std::uint32_t best) const noexcept {
    const auto tree = [&](Part part) { return std::span(spans_).subspan(part.begin, part.end - part.begin); };
    if (request.asks)
        search(tree(row.plain), request, best);
    else
        best = std::min(best, find_step(row.steps, request.uid));
    search(tree(row.picky), request, best);
    return best;
}

std::optional<std::uint32_t> Index::match(const Compiled& policy, const Subject& subject,
                                          const Object& object) const noexcept {
    const Request request{policy.rules, object, subject.uid, asks_for_special(object)};
    std::uint32_t first = no_rule;
    each_block(policy, subject, object, [&](const Block& block) {
        if (const Row* row = find_row(block.rows, everybody)) first = first_in(*row, request, first);
        for (const std::uint32_t gid : subject.gids)
            if (const Row* row = find_row(block.rows, gid)) first = first_in(*row, request, first);
    });
    return first == no_rule ? std::nullopt : std::optional(first);
}

std::optional<Index::Joined> Index::best_group(const Compiled& policy, const Subject& subject, const Object& object,
                                               std::uint32_t before) const {
    const Request request{policy.rules, object, subject.uid, asks_for_special(object)};
    std::vector<Joined> joined;
    each_block(policy, subject, object, [&](const Block& block) {
        for (const Row& row : std::span(rows_).subspan(block.rows.begin, block.rows.end - block.rows.begin)) {
            const std::uint32_t rule = row.gid == everybody ? before : first_in(row, request, before);
            if (rule < before) joined.push_back({static_cast<std::uint32_t>(row.gid), rule});
        }
    });
    // A group may be in several blocks; what its first rule says is what its members get.
    std::ranges::sort(joined, {}, [](const Joined& one) { return std::pair(one.gid, one.rule); });
    std::optional<Joined> best;
    for (auto one = joined.begin(); one != joined.end(); ++one) {
        const bool first_of_group = one == joined.begin() || std::prev(one)->gid != one->gid;
        const bool better = first_of_group && (!best || one->rule < best->rule);
        if (better && policy.rules[one->rule].effect == Effect::allow) best = *one;
    }
    return best;
}

} // namespace fastrpc::policy
