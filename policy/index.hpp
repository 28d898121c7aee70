// Which rule decides about whom, for one domain and PD kind: compiled when a policy is loaded, so that a decision is a
// search in sorted numbers, however many rules there are.
//
// There is one row of uids for everybody and one for the members of each group that a rule names, and both again for
// each label and each module that rules name. A row is cut where the first of its plain rules changes (Rule::is_plain):
// they match whatever else is asked for. Those that look closer stand in a tree of their uids, and so do the plain ones
// for requests that ask for attributes or many directories, which few rules give.
#pragma once

#include "policy/policy.hpp"

#include <optional>
#include <vector>

namespace fastrpc::policy {

struct Compiled;

class Index {
public:
    /// `chosen` are those of the rules, in the order of evaluation, that name the domain and the kind.
    void compile(const Compiled& policy, std::span<const std::uint32_t> chosen);
    /// The first rule that matches, as an index into the rules compiled, or none.
    [[nodiscard]] std::optional<std::uint32_t> match(const Compiled& policy, const Subject& subject,
                                                     const Object& object) const noexcept;

    struct Joined {
        std::uint32_t gid = 0;
        std::uint32_t rule = 0;
    };
    /// The group in which the subject would be allowed by the first of all rules before `before` that any group would
    /// bring, or none. Goes through all groups.
    [[nodiscard]] std::optional<Joined> best_group(const Compiled& policy, const Subject& subject, const Object& object,
                                                   std::uint32_t before) const;

private:
    static constexpr std::uint32_t no_rule = 0xFFFFFFFF;
    static constexpr std::uint64_t everybody = 1ULL << 32; // above every gid

    /// From this uid on, until the next step, this rule.
    struct Step {
        std::uint32_t from = 0;
        std::uint32_t rule = no_rule;
    };
    /// Uids of one rule, inclusive. In order of `first` they are a tree, whose root is in the middle.
    struct Span {
        std::uint32_t first = 0;
        std::uint32_t last = 0;
        std::uint32_t most = 0; ///< largest `last` of the subtree
        std::uint32_t rule = 0;
    };
    struct Part {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };
    struct Row {
        std::uint64_t gid = everybody;
        Part steps; ///< of plain rules
        Part plain; ///< spans of the same
        Part picky; ///< spans of the others
    };
    /// The rows of rules that name one label and one module, or none (PatternTable::none); in order of their gids.
    struct Block {
        std::uint32_t module = 0;
        std::uint32_t label = 0;
        Part rows;
    };
    struct Draft; ///< of a span, while compiling
    struct Request;

    static void draft(const Compiled& policy, std::uint32_t rule, std::vector<Draft>& drafts);
    void add_row(const Compiled& policy, std::span<const Draft> drafts);
    Part add_steps(std::span<const Span> spans);
    Part add_tree(std::vector<Span>& spans);
    static std::uint32_t set_most(std::span<Span> tree) noexcept;

    /// Calls `take` with each block that is about the label and the first module.
    template<class Take>
    void each_block(const Compiled& policy, const Subject& subject, const Object& object, const Take& take) const;
    [[nodiscard]] const Row* find_row(Part rows, std::uint64_t gid) const noexcept;
    [[nodiscard]] std::uint32_t first_in(const Row& row, const Request& request, std::uint32_t best) const noexcept;
    [[nodiscard]] std::uint32_t find_step(Part steps, std::uint32_t uid) const noexcept;
    static void search(std::span<const Span> tree, const Request& request, std::uint32_t& best) noexcept;

    std::vector<Block> blocks_;
    std::vector<Row> rows_;
    std::vector<Step> steps_;
    std::vector<Span> spans_;
};

} // namespace fastrpc::policy
