// The words of decisions, as the truth tables have them, and the way through a table.
#pragma once

#include "fixture.hpp"

#include <functional>
#include <sstream>

namespace fastrpc::test {

/// "x", ".", "!rule", "rule+dpc" or, when polkit is asked, "?rule+dpc"; truth_test.cpp says what the letters are.
inline std::string word_of(const Decision& decision) {
    if (!decision.allowed && decision.reason.find("has no unsigned PDs") != std::string::npos) return "x";
    if (!decision.allowed && !decision.ask) return decision.rule.empty() ? "." : "!" + decision.rule;
    const std::string word = (decision.ask ? "?" : "") + decision.rule;
    std::uint32_t rest = decision.grant.attributes;
    std::string letters;
    for (const auto& [letter, bit] : {std::pair('d', 1U << 0),
                                      {'p', 1U << 1},
                                      {'c', 1U << 2},
                                      {'a', 1U << 4},
                                      {'s', 1U << 5},
                                      {'v', 1U << 6},
                                      {'u', 1U << 3},
                                      {'y', 1U << 17}}) {
        if ((rest & bit) != 0) letters += letter;
        rest &= ~bit;
    }
    if (rest != 0) letters += '?';
    return letters.empty() ? word : word + "+" + letters;
}

/// Calls `use(subject, kind, words, line)` for each line of a table: one that begins with "UID GID LABEL" says
/// who asks ("-": none), those below it, which begin with blanks, for which kind, and `words` then gives the answers.
inline void each_line(const char* table,
                      const std::function<void(const Subject&, PdKind, std::istream&, const std::string&)>& use) {
    std::istringstream lines(table);
    Subject subject;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream words(line);
        std::string first, gid, label;
        words >> first;
        if (line[0] != ' ') {
            words >> gid >> label;
            subject = {static_cast<std::uint32_t>(std::stoul(first)), {}, label == "-" ? "" : label};
            if (gid != "-") subject.gids = {static_cast<std::uint32_t>(std::stoul(gid))};
            continue;
        }
        const auto kind = pd_kind_from(first);
        ASSERT_TRUE(kind) << line;
        use(subject, *kind, words, line);
    }
}

} // namespace fastrpc::test
