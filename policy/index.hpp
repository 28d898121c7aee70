// Which rule decides about whom, for one object: compiled when a policy is loaded, so that a decision is a search in
// sorted numbers, however many rules there are.
//
// A rule matches by uid alone, by a group alone, or by both. So there is one row of uids for everybody, and one for the
// members of each group that a rule names; a row is cut where the first rule that matches changes.
#pragma once

#include "policy/policy.hpp"

#include <optional>

namespace fastrpc::policy {

struct Rule;

class Index {
public:
    /// Members of one group: steps[begin, end).
    struct Group {
        std::uint32_t gid = 0;
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };

    /// `chosen` are those of `rules`, in the order of evaluation, that name the object.
    void compile(const std::vector<Rule>& rules, std::span<const std::uint32_t> chosen);
    /// The first rule that matches, as an index into the rules compiled, or none.
    [[nodiscard]] std::optional<std::uint32_t> match(const Subject& subject) const noexcept;

    [[nodiscard]] std::span<const Group> groups() const noexcept { return groups_; }
    /// The first rule that matches `uid` because it is in `group`, or none.
    [[nodiscard]] std::optional<std::uint32_t> match(const Group& group, std::uint32_t uid) const noexcept;
    /// On the heap.
    [[nodiscard]] std::size_t bytes() const noexcept;

private:
    static constexpr std::uint32_t no_rule = 0xFFFFFFFF;
    /// From this uid on, until the next step, this rule.
    struct Step {
        std::uint32_t from = 0;
        std::uint32_t rule = no_rule;
    };
    /// Uids of one rule, inclusive.
    struct Span {
        std::uint64_t gid = 0; ///< or `everybody`
        std::uint32_t first = 0;
        std::uint32_t last = 0;
        std::uint32_t rule = 0;
    };
    static constexpr std::uint64_t everybody = 1ULL << 32; // above every gid

    void add_row(std::span<const Span> spans);
    [[nodiscard]] std::uint32_t find(std::uint32_t begin, std::uint32_t end, std::uint32_t uid) const noexcept;

    std::vector<Step> steps_;
    std::vector<Group> groups_;   ///< in the order of their gids
    std::uint32_t everybody_ = 0; ///< where the row of everybody begins; it ends with the steps
};

} // namespace fastrpc::policy
