// The rate of a uid, with a clock of the test's own.
#include "broker/uid_rate.hpp"

#include <gtest/gtest.h>

using namespace fastrpc::broker;
using namespace std::chrono_literals;

TEST(UidRate, a_sixth_of_a_minute_at_once_and_then_evenly) {
    UidRate rate;
    const UidRate::Time start{};
    for (int i = 0; i < 10; ++i) EXPECT_EQ(rate.take(1, 60, start), 0ms);
    EXPECT_EQ(rate.take(1, 60, start), 1000ms);
    EXPECT_EQ(rate.take(1, 60, start + 300ms), 700ms) << "a refused one costs nothing";
    EXPECT_EQ(rate.take(1, 60, start + 1000ms), 0ms);
    EXPECT_EQ(rate.take(1, 60, start + 1000ms), 1000ms);
}

TEST(UidRate, no_more_than_its_number_in_any_minute_beside_the_credit) {
    UidRate rate;
    int allowed = 0;
    for (auto now = UidRate::Time(); now < UidRate::Time() + 10min; now += 7ms)
        if (rate.take(1, 120, now) == 0ms) ++allowed;
    EXPECT_LE(allowed, 1200 + 20);
    EXPECT_GE(allowed, 1200);
}

TEST(UidRate, uids_do_not_pay_for_each_other) {
    UidRate rate;
    const UidRate::Time start{};
    while (rate.take(1, 60, start) == 0ms) {
    }
    EXPECT_EQ(rate.take(2, 60, start), 0ms);
}

TEST(UidRate, the_lowest_rate_allows_one_a_minute) {
    UidRate rate;
    const UidRate::Time start{};
    EXPECT_EQ(rate.take(1, 1, start), 0ms);
    EXPECT_EQ(rate.take(1, 1, start), 60s);
    EXPECT_EQ(rate.take(1, 1, start + 60s), 0ms);
}

TEST(UidRate, whoever_was_silent_long_enough_takes_no_memory) {
    UidRate rate;
    UidRate::Time now{};
    for (std::uint32_t uid = 0; uid < 100000; ++uid, now += 100ms) rate.take(uid, 600, now);
    EXPECT_LE(rate.uids(), 300U);
}
