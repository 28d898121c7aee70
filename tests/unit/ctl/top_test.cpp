// fastrpcctl top: rates from counters, one table in 80 and in 200 columns, by session and by user.
#include "ctl/top.hpp"
#include "tests/unit/ctl/text.hpp"

#include <gtest/gtest.h>

using namespace fastrpc::ctl;
using namespace fastrpc::ctl::test;
using namespace std::chrono_literals;

namespace {

json session(const std::string& id, unsigned uid, std::uint64_t calls, std::uint64_t bytes, std::uint64_t p99) {
    return {{"id", id},
            {"domain", "cdsp"},
            {"pd", "unsigned"},
            {"state", "ready"},
            {"uid", uid},
            {"owner", "user" + std::to_string(uid)},
            {"label", "a program with a name that is much longer than there is room for it"},
            {"opened-usec", 1},
            {"rule", "everybody-unsigned"},
            {"usage",
             {{"calls", calls},
              {"bytes", bytes},
              {"p50-us", 50},
              {"p99-us", p99},
              {"in-flight", 1},
              {"lanes", 2},
              {"files-served", 3},
              {"files-missing", 0}}}};
}

json list(json sessions) {
    return {{"domains", {{{"name", "cdsp"}, {"state", "online"}, {"sessions-used", 2}, {"sessions-max", 14}}}},
            {"queue", json::array()},
            {"sessions", std::move(sessions)}};
}

class Top : public testing::Test {
protected:
    Usage usage;
    Usage::Clock::time_point start = Usage::Clock::now();
    json look(json sessions, std::chrono::seconds after, bool by_uid = false, const std::string& sort = "calls") {
        return usage.table(list(std::move(sessions)), start + after, by_uid, sort);
    }
};

} // namespace

TEST_F(Top, rates_are_the_difference_of_two_looks) {
    look({session("a", 1, 100, 1000, 5)}, 0s);
    const json table = look({session("a", 1, 300, 5000, 5)}, 2s);
    ASSERT_EQ(table["rows"].size(), 1U);
    EXPECT_DOUBLE_EQ(table["rows"][0]["calls-per-s"].get<double>(), 100.0);
    EXPECT_DOUBLE_EQ(table["rows"][0]["bytes-per-s"].get<double>(), 2000.0);
}

TEST_F(Top, a_host_that_did_not_answer_once_does_not_make_a_peak_later) {
    look({session("a", 1, 100, 0, 5)}, 0s);
    json silent = session("a", 1, 0, 0, 0);
    silent["usage"] = nullptr;
    EXPECT_DOUBLE_EQ(look({silent}, 1s)["rows"][0]["calls-per-s"].get<double>(), 0.0);
    EXPECT_DOUBLE_EQ(look({session("a", 1, 200, 0, 5)}, 2s)["rows"][0]["calls-per-s"].get<double>(), 50.0);
}

TEST_F(Top, rows_are_sorted_by_what_was_asked_for) {
    const json sessions{session("a", 2, 10, 900, 7), session("b", 1, 20, 100, 9)};
    EXPECT_EQ(look(sessions, 1s, false, "calls")["rows"][0]["session"], "b");
    EXPECT_EQ(
        look({session("a", 2, 10, 1800, 7), session("b", 1, 20, 100, 9)}, 2s, false, "bytes")["rows"][0]["session"],
        "a");
    EXPECT_EQ(look(sessions, 3s, false, "p99")["rows"][0]["session"], "b");
    EXPECT_EQ(look(sessions, 4s, false, "owner")["rows"][0]["session"], "b");
}

TEST_F(Top, by_user_sums_sessions_and_takes_the_worst_latency) {
    look({session("a", 1, 0, 0, 7), session("b", 1, 0, 0, 9), session("c", 2, 0, 0, 1)}, 0s, true);
    const json table =
        look({session("a", 1, 10, 20, 7), session("b", 1, 30, 20, 9), session("c", 2, 5, 0, 1)}, 1s, true);
    ASSERT_EQ(table["rows"].size(), 2U);
    const json& first = table["rows"][0];
    EXPECT_EQ(first["uid"], 1);
    EXPECT_EQ(first["sessions"], 2);
    EXPECT_EQ(first["calls"], 40);
    EXPECT_EQ(first["p99-us"], 9);
    EXPECT_DOUBLE_EQ(first["calls-per-s"].get<double>(), 40.0);
}

TEST_F(Top, no_line_is_wider_than_the_terminal_and_a_wide_one_tells_more) {
    const json table =
        look({session("s0000000000000001", 1, 100, 1U << 30, 5), session("s0000000000000002", 2, 1, 1, 5)}, 1s);
    for (const std::size_t columns : {20U, 80U, 200U})
        for (const std::string& line : lines_of(top_text(table, {}, columns)))
            EXPECT_LE(width_of(line), columns) << line;
    EXPECT_FALSE(has(top_text(table, {}, 80), "RULE"));
    EXPECT_TRUE(has(top_text(table, {}, 80), "P99us"));
    const std::string wide = top_text(table, {}, 200);
    EXPECT_TRUE(has(wide, "everybody-unsigned")) << wide;
    EXPECT_TRUE(has(wide, "much longer~") || has(wide, "a program with a name")) << wide;
}

TEST_F(Top, a_system_without_sessions_says_so) {
    EXPECT_TRUE(has(top_text(look(json::array(), 1s), {}, 80), "no session"));
}
