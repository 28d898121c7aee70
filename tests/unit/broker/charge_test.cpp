// Charges: nothing above a limit, and everything given back.
#include "broker/charge.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace fastrpc::broker;

TEST(Charge, is_refused_when_it_would_pass_the_limit) {
    Ledger ledger;
    const auto first = ledger.take(7, 3, 4);
    ASSERT_TRUE(first);
    EXPECT_FALSE(ledger.take(7, 2, 4));
    EXPECT_TRUE(ledger.take(7, 1, 4));
    EXPECT_EQ(ledger.used(7), 3U) << "the last one was dropped at once";
}

TEST(Charge, does_not_touch_the_sums_of_others) {
    Ledger ledger;
    const auto mine = ledger.take(1, 4, 4);
    EXPECT_TRUE(mine);
    EXPECT_TRUE(ledger.take(2, 4, 4));
    EXPECT_EQ(ledger.used(2), 0U);
}

TEST(Charge, gives_back_once_however_often_it_moves) {
    Ledger ledger;
    {
        Charge a = ledger.record(1, 2);
        Charge b = std::move(a);
        Charge c;
        c = std::move(b);
        EXPECT_EQ(a.amount(), 0U); // NOLINT: a moved-from charge is empty, and that is the promise
        EXPECT_EQ(c.amount(), 2U);
        EXPECT_EQ(ledger.used(1), 2U);
    }
    EXPECT_EQ(ledger.used(1), 0U);
    EXPECT_EQ(ledger.keys(), 0U);
}

TEST(Charge, that_is_overwritten_gives_its_old_share_back) {
    Ledger ledger;
    Charge charge = ledger.record(1, 2);
    charge = ledger.record(2, 5);
    EXPECT_EQ(ledger.used(1), 0U);
    EXPECT_EQ(ledger.used(2), 5U);
    charge.give_back();
    charge.give_back();
    EXPECT_EQ(ledger.used(2), 0U);
}

TEST(Charge, of_what_exists_already_may_pass_the_limit_and_then_blocks_new_ones) {
    Ledger ledger;
    const Charge old = ledger.record(1, 10);
    EXPECT_FALSE(ledger.take(1, 1, 4));
    EXPECT_FALSE(ledger.take(1, 0, 4)) << "even nothing is too much above the limit";
}

TEST(Charge, a_huge_amount_does_not_wrap_around) {
    Ledger ledger;
    const Charge one = ledger.record(1, 1);
    EXPECT_FALSE(ledger.take(1, ~std::uint64_t{0}, 100));
    EXPECT_EQ(ledger.used(1), 1U);
}

TEST(Charge, sums_are_exact_after_ten_thousand_random_steps) {
    Ledger ledger;
    std::mt19937 random(1);
    std::vector<Charge> held;
    for (int i = 0; i < 10000; ++i) {
        if (random() % 2 == 0) {
            if (auto charge = ledger.take(0, random() % 5, 64)) held.push_back(std::move(*charge));
        } else if (!held.empty()) {
            std::swap(held[random() % held.size()], held.back());
            held.pop_back();
        }
        std::uint64_t sum = 0;
        for (const Charge& charge : held) sum += charge.amount();
        ASSERT_EQ(ledger.used(0), sum);
        ASSERT_LE(sum, 64U);
    }
    held.clear();
    EXPECT_EQ(ledger.keys(), 0U);
}
