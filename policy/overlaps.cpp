// Rules of equal priority and different effects in different files: which of them decides hangs on the names of their
// files, which is easily meant otherwise. Inside a file the order is there to be seen.
//
// A subject may be in any groups at once, so rules overlap unless their uids, labels, modules or nodes do not. Uids are
// gone through in rising order, for each object, with the rules that are open there at hand: not every rule is compared
// with every other, and what is compared beyond uids has a bound.
#include "policy/rule.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <queue>
#include <set>

namespace fastrpc::policy {
namespace {

constexpr std::size_t most_told = 20;
constexpr std::size_t most_compared = 1000000; ///< pairs of rules, in all

struct Span {
    UidRange uids;
    std::uint32_t rule = 0;
    std::uint32_t number = 0; ///< tells spans of one rule apart
};

using Pairs = std::set<std::pair<std::uint32_t, std::uint32_t>>;

bool overlap(const Pattern& one, const Pattern& other) {
    return one.overlaps(other);
}

bool overlap(const ModulePattern& one, const ModulePattern& other) {
    return (!one.hash || !other.hash || *one.hash == *other.hash) && one.name.overlaps(other.name);
}

template<class T>
bool overlap(const std::vector<T>& some, const std::vector<T>& others) {
    if (some.empty() || others.empty()) return true;
    return std::ranges::any_of(some, [&](const T& one) {
        return std::ranges::any_of(others, [&](const T& other) { return overlap(one, other); });
    });
}

bool overlap(const std::vector<Sha256>& some, const std::vector<Sha256>& others) {
    if (some.empty() || others.empty()) return true;
    return std::ranges::any_of(some, [&](const Sha256& one) { return std::ranges::binary_search(others, one); });
}

/// Whether a request of the same uid and for the same object can be matched by both.
bool overlap(const Rule& one, const Rule& other) {
    const bool nodes = one.what.nodes == 0 || other.what.nodes == 0 || (one.what.nodes & other.what.nodes) != 0;
    return nodes && overlap(one.who.labels, other.who.labels) && overlap(one.what.modules, other.what.modules) &&
           overlap(one.what.hashes, other.what.hashes);
}

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

    /// Adds pairs of overlapping rules: of each rule that overlaps with others, it or each of them is in one. `left` is
    /// how many may still be compared; at 0 the rest is left out.
    void find(Domain domain, PdKind kind, Pairs& pairs, std::size_t& left) const {
        std::vector<Span> spans = spans_of(domain, kind);
        std::ranges::sort(spans, {}, [](const Span& span) { return std::pair(span.uids.first, span.rule); });
        const auto later = [](const Span* a, const Span* b) { return a->uids.last > b->uids.last; };
        std::priority_queue<const Span*, std::vector<const Span*>, decltype(later)> ends(later);
        std::array<Open, 3> open; // by effect
        const auto effect_of = [&](const Span& span) { return static_cast<std::size_t>(rules_[span.rule].effect); };
        for (const Span& span : spans) {
            for (; !ends.empty() && ends.top()->uids.last < span.uids.first; ends.pop())
                open[effect_of(*ends.top())].erase({ends.top()->rule, ends.top()->number});
            for (std::size_t effect = 0; effect < open.size(); ++effect)
                if (effect != effect_of(span)) pair_up(span.rule, open[effect], pairs, left);
            open[effect_of(span)].insert({span.rule, span.number});
            ends.push(&span);
        }
    }

private:
    using Open = std::set<std::pair<std::uint32_t, std::uint32_t>>; ///< rule and number of the span

    /// Adds the pair of the rule and the first of `others` that is of another file and overlaps with it.
    void pair_up(std::uint32_t rule, const Open& others, Pairs& pairs, std::size_t& left) const {
        for (auto other = others.begin(); other != others.end() && left > 0; --left) {
            if (rules_[other->first].file == rules_[rule].file) {
                other = others.lower_bound({next_file_[rule - begin_], 0});
            } else if (overlap(rules_[rule], rules_[other->first])) {
                pairs.insert(std::minmax(rule, other->first));
                return;
            } else {
                ++other;
            }
        }
    }

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

std::string_view verb(const Rule& rule) {
    return rule.effect == Effect::allow ? "allows" : rule.effect == Effect::ask ? "asks polkit about" : "denies";
}

std::string told(const Rule& first, const Rule& second) {
    return fmt::format(
        "{}:{}:{}: rule \"{}\" {} some of what rule \"{}\" ({}:{}) {}, at the same priority; \"{}\" comes "
        "first, as its file does: give the one that is to decide a higher \"priority\"",
        second.file, second.line, second.column, second.name, verb(second), first.name, first.file, first.line,
        verb(first), first.name);
}

} // namespace

void warn_of_overlaps(const std::vector<Rule>& rules, std::vector<std::string>& warnings) {
    Pairs pairs;
    std::size_t left = most_compared;
    for (std::uint32_t begin = 0, end = 0; begin < rules.size(); begin = end) {
        while (end < rules.size() && rules[end].priority == rules[begin].priority) ++end;
        const Level level(rules, begin, end);
        if (!level.can_overlap()) continue;
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds)
                if (!is_unsigned(kind) || has_unsigned(domain)) level.find(domain, kind, pairs, left);
    }
    std::size_t count = 0;
    for (const auto& [first, second] : pairs)
        if (++count <= most_told) warnings.push_back(told(rules[first], rules[second]));
    if (pairs.size() > most_told)
        warnings.push_back(fmt::format("and {} more pairs of such rules of equal priority", pairs.size() - most_told));
    if (left == 0)
        warnings.push_back("there are too many rules of equal priority in different files to compare them all: give "
                           "files priorities of their own");
}

} // namespace fastrpc::policy
