// Rules of equal priority in different files of which one allows what the other denies: which of them decides hangs on
// the names of their files, which is easily meant otherwise. Inside a file the order is there to be seen.
//
// A subject may be in any groups at once, so rules overlap unless their uids do not. Uids are gone through in rising
// order, for each object, with the rules that are open there at hand: not every rule is compared with every other.
#include "policy/rule.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <queue>
#include <set>

namespace fastrpc::policy {
namespace {

constexpr std::size_t most_told = 20;

struct Span {
    UidRange uids;
    std::uint32_t rule = 0;
    std::uint32_t number = 0; ///< tells spans of one rule apart
};

using Pairs = std::set<std::pair<std::uint32_t, std::uint32_t>>;

/// Rules [begin, end): those of one priority, which stand file by file.
class Level {
public:
    Level(const std::vector<Rule>& rules, std::uint32_t begin, std::uint32_t end) :
        rules_(rules), begin_(begin), end_(end), next_file_(end - begin) {
        for (std::uint32_t i = end; i-- > begin;)
            next_file_[i - begin] =
                i + 1 < end && rules[i + 1].file == rules[i].file ? next_file_[i + 1 - begin] : i + 1;
    }

    [[nodiscard]] bool can_overlap() const {
        const Effect effect = rules_[begin_].effect;
        return next_file_[0] != end_ && std::any_of(rules_.begin() + begin_, rules_.begin() + end_,
                                                    [&](const Rule& rule) { return rule.effect != effect; });
    }

    /// Adds pairs of overlapping rules: of each rule that overlaps with others, it or each of them is in one.
    void find(Domain domain, PdKind kind, Pairs& pairs) const {
        std::vector<Span> spans = spans_of(domain, kind);
        std::ranges::sort(spans, {}, [](const Span& span) { return std::pair(span.uids.first, span.rule); });
        const auto later = [](const Span* a, const Span* b) { return a->uids.last > b->uids.last; };
        std::priority_queue<const Span*, std::vector<const Span*>, decltype(later)> ends(later);
        std::array<std::set<std::pair<std::uint32_t, std::uint32_t>>, 2> open; // by effect: rule and number of the span
        const auto of = [&](const Span& span) { return static_cast<std::size_t>(rules_[span.rule].effect); };
        for (const Span& span : spans) {
            for (; !ends.empty() && ends.top()->uids.last < span.uids.first; ends.pop())
                open[of(*ends.top())].erase({ends.top()->rule, ends.top()->number});
            const auto& others = open[1 - of(span)];
            auto other = others.begin();
            if (other != others.end() && rules_[other->first].file == rules_[span.rule].file)
                other = others.lower_bound({next_file_[span.rule - begin_], 0});
            if (other != others.end()) pairs.insert(std::minmax(span.rule, other->first));
            open[of(span)].insert({span.rule, span.number});
            ends.push(&span);
        }
    }

private:
    [[nodiscard]] std::vector<Span> spans_of(Domain domain, PdKind kind) const {
        std::vector<Span> spans;
        const auto add = [&](std::uint32_t rule, UidRange uids) {
            spans.push_back({uids, rule, static_cast<std::uint32_t>(spans.size())});
        };
        for (std::uint32_t i = begin_; i < end_; ++i) {
            const Rule& rule = rules_[i];
            if (!rule.domains.has(domain) || !rule.kinds.has(kind)) continue;
            const bool nobody = rule.who.by_group && std::ranges::none_of(rule.who.groups, [](const GroupName& group) {
                                    return group.gid.has_value();
                                });
            if (nobody) continue;
            if (!rule.who.by_user) add(i, {0, 0xFFFFFFFF});
            for (const UidRange& uids : rule.who.uids) add(i, uids);
        }
        return spans;
    }

    const std::vector<Rule>& rules_;
    std::uint32_t begin_;
    std::uint32_t end_;
    std::vector<std::uint32_t> next_file_; ///< of each rule: the first rule of the next file
};

std::string told(const Rule& first, const Rule& second) {
    const bool denies = second.effect == Effect::deny;
    return fmt::format(
        "{}:{}:{}: rule \"{}\" {} some of what rule \"{}\" ({}:{}) {}, at the same priority; \"{}\" comes "
        "first, as its file does: give the one that is to decide a higher \"priority\"",
        second.file, second.line, second.column, second.name, denies ? "denies" : "allows", first.name, first.file,
        first.line, denies ? "allows" : "denies", first.name);
}

} // namespace

void warn_of_overlaps(const std::vector<Rule>& rules, std::vector<std::string>& warnings) {
    Pairs pairs;
    for (std::uint32_t begin = 0, end = 0; begin < rules.size(); begin = end) {
        while (end < rules.size() && rules[end].priority == rules[begin].priority) ++end;
        const Level level(rules, begin, end);
        if (!level.can_overlap()) continue;
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds)
                if (!is_unsigned(kind) || has_unsigned(domain)) level.find(domain, kind, pairs);
    }
    std::size_t count = 0;
    for (const auto& [first, second] : pairs)
        if (++count <= most_told) warnings.push_back(told(rules[first], rules[second]));
    if (pairs.size() > most_told)
        warnings.push_back(fmt::format("and {} more pairs of such rules of equal priority", pairs.size() - most_told));
}

} // namespace fastrpc::policy
