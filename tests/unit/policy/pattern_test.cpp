// Names with '*' in them.
#include "policy/pattern.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using fastrpc::policy::Pattern;
using fastrpc::policy::PatternTable;

TEST(Pattern, a_star_stands_for_any_characters_and_nothing_else_is_special) {
    struct Row {
        const char *pattern, *name;
        bool matches;
    };
    for (const Row& row : {Row{"a", "a", true},       {"a", "b", false},       {"a", "", false},
                           {"a", "aa", false},        {"*", "", true},         {"*", "anything at all", true},
                           {"a*", "a", true},         {"a*", "abc", true},     {"a*", "ba", false},
                           {"*a", "ba", true},        {"*a", "ab", false},     {"a*c", "abc", true},
                           {"a*c", "ac", true},       {"a*c", "acb", false},   {"a*b*c", "axbxbxc", true},
                           {"a*b*c", "axcxb", false}, {"**", "", true},        {"*ab*ab", "abab", true},
                           {"*ab*ab", "ab", false},   {"a.c", "abc", false},   {"*.so", "lib.so.so", true},
                           {"a*a", "a", false},       {"*b*", "aaabaaa", true}})
        EXPECT_EQ(Pattern(row.pattern).matches(row.name), row.matches) << row.pattern << " and " << row.name;
}

TEST(Pattern, two_overlap_when_some_name_is_matched_by_both) {
    struct Row {
        const char *one, *other;
        bool overlap;
    };
    for (const Row& row : {Row{"a", "a", true},
                           {"a", "b", false},
                           {"a*", "ab", true},
                           {"a*", "b*", false},
                           {"a*", "*b", true},
                           {"*a*", "*b*", true},
                           {"a*b", "a*c", false},
                           {"a*b", "ab*b", true},
                           {"lib*.so", "libx.a", false},
                           {"*", "x", true},
                           {"ab*", "a*c", true},
                           {"abc*", "abd*", false}})
        for (const auto& [a, b] : {std::pair(row.one, row.other), {row.other, row.one}})
            EXPECT_EQ(Pattern(a).overlaps(Pattern(b)), row.overlap) << a << " and " << b;
    // Against all names of up to four letters.
    std::mt19937 random(7);
    const auto text = [&](std::string_view letters) {
        std::string made;
        for (std::size_t n = random() % 5; made.size() < n;) made += letters[random() % letters.size()];
        return made;
    };
    std::vector<std::string> names{""};
    for (std::size_t i = 0; names[i].size() < 4; ++i)
        for (const char letter : {'a', 'b'}) names.push_back(names[i] + letter);
    for (int i = 0; i < 3000; ++i) {
        const Pattern a(text("ab*")), b(text("ab*"));
        const bool some =
            std::ranges::any_of(names, [&](const std::string& name) { return a.matches(name) && b.matches(name); });
        // Their shortest common name has no more letters than both of them.
        if (a.text().size() + b.text().size() <= 4 || some) {
            EXPECT_EQ(a.overlaps(b), some) << a.text() << " and " << b.text();
        }
    }
}

TEST(Pattern, a_table_finds_all_patterns_that_match_and_gives_each_one_number) {
    PatternTable table;
    const std::vector<Pattern> patterns{Pattern("b"), Pattern("a"), Pattern("a*"),
                                        Pattern("*"), Pattern("a"), Pattern("c")};
    for (const Pattern& pattern : patterns) table.add(pattern);
    table.finish();
    EXPECT_EQ(table.number_of(patterns[1]), table.number_of(patterns[4]));
    for (const std::string_view name : {"a", "b", "c", "d", "ab"}) {
        std::vector<std::uint32_t> found, wanted{PatternTable::none};
        table.each(name, [&](std::uint32_t number) { found.push_back(number); });
        for (const Pattern& pattern : patterns)
            if (pattern.matches(name)) wanted.push_back(table.number_of(pattern));
        std::ranges::sort(found);
        std::ranges::sort(wanted);
        const auto twice = std::ranges::unique(wanted);
        wanted.erase(twice.begin(), twice.end());
        EXPECT_EQ(found, wanted) << name;
    }
    std::vector<std::uint32_t> nameless;
    table.each("", [&](std::uint32_t number) { nameless.push_back(number); });
    EXPECT_EQ(nameless, std::vector{PatternTable::none});
}

TEST(Pattern, what_a_rule_cannot_name_is_said) {
    using fastrpc::policy::is_plain_name, fastrpc::policy::pattern_fault;
    for (const char* good : {"a", "u:r:t:s0-s0:c0.c1023", "/usr/bin/app (enforce)", "a//&b", "*a*b*c*"})
        EXPECT_EQ(pattern_fault(good), "") << good;
    EXPECT_EQ(pattern_fault(""), "has 1 to 512 characters");
    EXPECT_EQ(pattern_fault(std::string(513, 'a')), "has 1 to 512 characters");
    EXPECT_EQ(pattern_fault("a\"b"), "is printable ASCII without '\"' and '\\'");
    EXPECT_EQ(pattern_fault("a\nb"), "is printable ASCII without '\"' and '\\'");
    EXPECT_EQ(pattern_fault("\xc3\xa4"), "is printable ASCII without '\"' and '\\'");
    EXPECT_EQ(pattern_fault("a?b"), "has no other wildcard than '*'");
    EXPECT_EQ(pattern_fault("[ab]"), "has no other wildcard than '*'");
    EXPECT_EQ(pattern_fault("*****"), "has at most 4 '*'");
    EXPECT_TRUE(is_plain_name("liba.so"));
    EXPECT_FALSE(is_plain_name("lib*.so"));
}
