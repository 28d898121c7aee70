// Columns, colours and amounts.
#include "ctl/table.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace fastrpc::ctl;

TEST(Table, columns_line_up_whatever_their_colours_and_characters) {
    const Style style{true, true};
    const std::string running = paint("running", style), failed = paint("failed", style);
    EXPECT_NE(running, "running");
    EXPECT_EQ(width_of(running), 7U);
    EXPECT_EQ(table({{"STATE", "N"}, {running, "1"}, {failed, "2"}}, style),
              "STATE    N\n" + running + "  1\n" + failed + "   2\n");
    EXPECT_EQ(table({{"NAME", "N"}, {"käse", "1"}, {"ab", "2"}}), "NAME  N\nkäse  1\nab    2\n");
}

TEST(Table, heads_take_no_room_without_a_legend) {
    EXPECT_EQ(table({{"A VERY LONG HEAD", "N"}, {"a", "1"}}, {.legend = false}), "a  1\n");
}

TEST(Table, words_that_mean_nothing_have_no_colour_and_none_has_one_without_a_terminal) {
    EXPECT_EQ(paint("adsp", {true, true}), "adsp");
    EXPECT_EQ(paint("failed", {true, false}), "failed");
}

TEST(Table, what_is_too_long_is_cut_and_marked) {
    EXPECT_EQ(cut("abcdef", 6), "abcdef");
    EXPECT_EQ(cut("abcdef", 4), "abc~");
    EXPECT_EQ(cut("käsebrot", 4), "käs~");
    EXPECT_EQ(cut("abc", 0), "");
}

TEST(Table, amounts_and_spans_are_short) {
    EXPECT_EQ(amount(0), "0");
    EXPECT_EQ(amount(1023), "1023");
    EXPECT_EQ(amount(1536), "1.5K");
    EXPECT_EQ(amount(3.5 * 1024 * 1024 * 1024), "3.5G");
    EXPECT_EQ(span(59), "59s");
    EXPECT_EQ(span(3 * 60 + 5), "3min 5s");
    EXPECT_EQ(span(2 * 3600 + 61), "2h 1min");
    EXPECT_EQ(span(3 * 86400 + 4 * 3600), "3d 4h");
    EXPECT_EQ(date_of(0), "-");
}
