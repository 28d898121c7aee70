// Which lines are written and which are counted, with a clock of the test's own.
#include "broker/held_lines.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

using namespace fastrpc::broker;
using namespace std::chrono_literals;

namespace {

HeldLines::Subject about(std::uint32_t uid, std::string what = "rule") {
    return {.uid = uid, .kind = "denied", .what = std::move(what)};
}

class HeldLinesTest : public testing::Test {
protected:
    HeldLines lines;
    HeldLines::Time now{};
    std::uint64_t written = 0, told = 0;
    void take(const HeldLines::Subject& subject) { written += lines.take(subject, now) ? 1 : 0; }
    std::size_t due() {
        const auto held = lines.due(now);
        for (const auto& one : held) told += one.count;
        return held.size();
    }
};

} // namespace

TEST_F(HeldLinesTest, the_first_is_written_and_the_rest_is_one_exact_count_at_the_end_of_the_window) {
    for (int i = 0; i < 1000; ++i, now += 50ms) take(about(1));
    EXPECT_EQ(written, 1U);
    EXPECT_EQ(lines.next(), HeldLines::Time{} + 1min);
    EXPECT_EQ(due(), 0U) << "before the window's end";
    now = HeldLines::Time{} + 1min;
    const auto held = lines.due(now);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0].subject, about(1));
    EXPECT_EQ(held[0].count, 999U);
}

TEST_F(HeldLinesTest, a_flood_without_end_is_one_line_a_minute_and_loses_no_count) {
    std::size_t lines_written = 0;
    const std::uint64_t asked = 100000;
    for (std::uint64_t i = 0; i < asked; ++i, now += 7ms) {
        take(about(1));
        if (lines.next() <= now) lines_written += due();
    }
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(now - HeldLines::Time{}).count();
    EXPECT_LE(written + lines_written, static_cast<std::uint64_t>(minutes) + 1);
    for (const auto& rest : lines.all()) told += rest.count;
    EXPECT_EQ(written + told, asked);
    EXPECT_EQ(lines.windows(), 0U);
}

TEST_F(HeldLinesTest, nobody_is_held_back_by_another_nor_one_rule_by_another) {
    for (int i = 0; i < 100; ++i) take(about(1));
    EXPECT_EQ(written, 1U);
    take(about(2));
    take(about(1, "other"));
    take({.uid = 1, .kind = "failed", .what = "rule"});
    EXPECT_EQ(written, 4U);
}

TEST_F(HeldLinesTest, who_was_silent_for_a_window_takes_no_memory_and_is_written_at_once_again) {
    take(about(1));
    now += 1min;
    EXPECT_EQ(due(), 0U);
    EXPECT_EQ(lines.windows(), 0U);
    EXPECT_EQ(lines.next(), std::nullopt);
    take(about(1));
    EXPECT_EQ(written, 2U);
}

TEST_F(HeldLinesTest, one_uid_with_many_rules_shares_windows_with_itself_alone) {
    for (int i = 0; i < 10000; ++i) take(about(1, fmt::format("rule{}", i)));
    EXPECT_EQ(lines.windows(), HeldLines::max_of_uid + 1);
    EXPECT_EQ(written, HeldLines::max_of_uid + 1);
    take(about(2));
    EXPECT_EQ(written, HeldLines::max_of_uid + 2) << "another has windows of its own";
    for (const auto& rest : lines.all()) told += rest.count;
    EXPECT_EQ(written + told, 10001U);
}

TEST_F(HeldLinesTest, memory_is_bounded_whoever_comes_and_no_count_is_lost) {
    const std::uint32_t users = 65536;
    for (std::uint32_t uid = 0; uid < users; ++uid)
        for (int i = 0; i < 2; ++i) take(about(uid));
    EXPECT_EQ(lines.windows(), HeldLines::max_windows + 1);
    now += 1min;
    EXPECT_GT(due(), 0U);
    EXPECT_EQ(written + told, 2ULL * users);
    now += 1min;
    EXPECT_EQ(due(), 0U);
    EXPECT_EQ(lines.windows(), 0U) << "and all of it comes back";
    take(about(users));
    EXPECT_EQ(lines.all().size(), 0U);
}
