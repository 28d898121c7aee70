// The word of a decision, as the truth tables have it.
#pragma once

#include "fixture.hpp"

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

} // namespace fastrpc::test
