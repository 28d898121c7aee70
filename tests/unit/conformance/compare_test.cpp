// The judgement of the conformance table: what is a good row, and what is none although it looks like one.
#include "tests/conformance/compare.hpp"

#include <gtest/gtest.h>

namespace fastrpc::conformance {
namespace {

using Verdict = Row::Verdict;

Column column(std::initializer_list<std::pair<std::string, std::string>> cases) {
    std::string text;
    for (const auto& [name, answer] : cases) text += "CASE " + name + " | " + answer + "\n";
    return read_column(text);
}

Verdict verdict(const std::string& ours, const std::string& theirs, const std::string& explained = {}) {
    std::vector<Explanation> explanations;
    if (!explained.empty()) {
        auto read = read_explanations(explained);
        EXPECT_TRUE(read) << read.error().text;
        if (read) explanations = *read;
    }
    const auto rows = compare(column({{"a", ours}}), column({{"a", theirs}}), explanations);
    EXPECT_EQ(rows.size(), 1U);
    return rows.front().verdict;
}

std::string message_of(std::string_view text) {
    const auto read = read_explanations(text);
    return read ? "" : read.error().text;
}

constexpr const char* explained_a = "a\n  virtual: 1 | - | -\n  real: 2 | - | -\n  reason: because\n";

TEST(ConformanceColumn, takes_cases_out_of_a_console) {
    const Column read =
        read_column("[    1.0] boot\r\nCASE a/b | r:0 | o | w\r\nPASS x\nCASE c | r | - | -\nCASE broken");
    EXPECT_EQ(read.names, (std::vector<std::string>{"a/b", "c"}));
    EXPECT_EQ(read.answers.at("a/b"), "r:0 | o | w");
    EXPECT_TRUE(read.twice.empty());
}

TEST(ConformanceColumn, knows_a_case_that_came_twice) {
    const Column twice = column({{"a", "1 | - | -"}, {"a", "1 | - | -"}});
    EXPECT_EQ(twice.twice, std::vector<std::string>{"a"});
    EXPECT_EQ(compare(twice, column({{"a", "1 | - | -"}}), {}).front().verdict, Verdict::twice);
    EXPECT_EQ(compare(column({{"a", "1 | - | -"}}), twice, {}).front().verdict, Verdict::twice);
}

TEST(ConformanceCompare, equal_answers_are_good) {
    EXPECT_EQ(verdict("1 | - | x", "1 | - | x"), Verdict::same);
}

TEST(ConformanceCompare, a_difference_in_any_column_is_one) {
    EXPECT_EQ(verdict("1 | - | x", "2 | - | x"), Verdict::differs);
    EXPECT_EQ(verdict("1 | - | x", "1 | o | x"), Verdict::differs);
    EXPECT_EQ(verdict("1 | - | x", "1 | - | y"), Verdict::differs);
}

TEST(ConformanceCompare, a_case_that_one_side_lacks_is_bad) {
    const Column both = column({{"a", "1 | - | -"}, {"b", "1 | - | -"}});
    const Column one = column({{"a", "1 | - | -"}});
    EXPECT_EQ(compare(both, one, {}).at(1).verdict, Verdict::missing);
    EXPECT_EQ(compare(one, both, {}).at(1).verdict, Verdict::missing);
    EXPECT_EQ(compare(one, both, {}).at(1).name, "b");
    EXPECT_FALSE(compare(one, both, {}).at(1).good());
}

TEST(ConformanceCompare, cases_that_were_not_carried_out_are_no_agreement) {
    EXPECT_EQ(verdict("GAVE UP: fork | - | -", "GAVE UP: fork | - | -"), Verdict::not_done);
    EXPECT_EQ(verdict("x:0 NO ANSWER IN TIME | - | -", "x:0 NO ANSWER IN TIME | - | -"), Verdict::not_done);
    EXPECT_EQ(verdict("x:0 | - | NO LOG", "x:0 | - | NO LOG"), Verdict::not_done);
}

TEST(ConformanceCompare, an_explanation_holds_for_exactly_its_two_answers) {
    EXPECT_EQ(verdict("1 | - | -", "2 | - | -", explained_a), Verdict::explained);
    EXPECT_EQ(verdict("1 | - | -", "3 | - | -", explained_a), Verdict::differs);
    EXPECT_EQ(verdict("3 | - | -", "2 | - | -", explained_a), Verdict::differs);
}

TEST(ConformanceCompare, an_explanation_of_no_difference_is_bad) {
    EXPECT_EQ(verdict("2 | - | -", "2 | - | -", explained_a), Verdict::stale);
    const auto rows =
        compare(column({{"b", "1 | - | -"}}), column({{"b", "1 | - | -"}}), *read_explanations(explained_a));
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[1].verdict, Verdict::unknown_case);
    EXPECT_FALSE(rows[1].good());
}

TEST(ConformanceExplanations, say_which_line_is_wrong) {
    EXPECT_EQ(message_of("# nothing\n\n"), "");
    EXPECT_EQ(message_of("  reason: x\n"), "line 1: it belongs to no case");
    EXPECT_EQ(message_of("a\n  virtual: 1\n  because: x\n"),
              "line 3: only virtual:, real: and reason: belong to a case");
    EXPECT_EQ(message_of("a\n  virtual: 1\n  real: 2\n"), "line 3: a above needs virtual:, real: and reason:");
    EXPECT_EQ(message_of("a\n  virtual: 1\n  real: 1\n  reason: x\n"), "line 4: a above: both answers are the same");
    EXPECT_EQ(message_of(std::string(explained_a) + explained_a), "line 5: a is explained twice");
    EXPECT_EQ(message_of("a\n  virtual: 1\n  virtual: 2\n"), "line 3: virtual:  comes twice");
}

TEST(ConformanceText, a_bad_row_shows_the_columns_that_differ) {
    const auto rows = compare(column({{"a", "1 | same | x"}}), column({{"a", "1 | same | y"}}), {});
    const std::string text = text_of(rows.front());
    EXPECT_TRUE(text.starts_with("DIFFERS   a")) << text;
    EXPECT_NE(text.find("wire\n      virtual: x\n      real:    y"), std::string::npos) << text;
    EXPECT_EQ(text.find("outputs"), std::string::npos) << text;
}

TEST(ConformanceText, rows_differ_in_print_when_only_the_wire_does) {
    const auto rows = compare(column({{"a", "1 | - | x"}}), column({{"a", "1 | - | y"}}), {});
    const std::string line = text_of(rows.front()).substr(0, text_of(rows.front()).find('\n'));
    const std::size_t bar = line.find(" | ");
    const std::size_t second = line.find(" | ", bar + 3);
    EXPECT_NE(line.substr(bar + 3, second - bar - 3), line.substr(second + 3)) << line;
}

TEST(ConformanceText, the_document_has_what_differs_and_why) {
    const std::string table = explained_table(*read_explanations(explained_a));
    EXPECT_EQ(table, "| Case | Virtual | Real | Reason |\n| --- | --- | --- | --- |\n| `a` | `1` | `2` | because |\n");
}

} // namespace
} // namespace fastrpc::conformance
