// Readings of the policy: one at a time, at most one more wanted, and who hears of what.
#include "broker/policy_keeper.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/loop.hpp"

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class Keeper : public testing::Test {
protected:
    Loop loop;
    fastrpc::test::Scratch scratch;
    int read = 0, replaced = 0;
    std::unique_ptr<PolicyKeeper> keeper;
    void SetUp() override {
        scratch.file("a.json", R"({"rules": []})");
        auto started = PolicyKeeper::start(loop, {scratch.path().string()}, Policy(), [this] { ++read; });
        ASSERT_TRUE(started) << started.error().text;
        keeper = std::move(*started);
        keeper->watch([this] { ++replaced; });
    }
};

} // namespace

TEST_F(Keeper, a_flood_of_wishes_is_two_readings_and_takes_no_memory) {
    for (int i = 0; i < 10000; ++i) keeper->reload({});
    EXPECT_EQ(keeper->waiting(), 0U);
    ASSERT_TRUE(loop.until([&] { return read == 2; }));
    const auto end = std::chrono::steady_clock::now() + 300ms;
    loop.until([&] { return std::chrono::steady_clock::now() > end; });
    EXPECT_EQ(read, 2);
    EXPECT_EQ(replaced, 2);
}

TEST_F(Keeper, whoever_asks_while_files_are_read_is_answered_by_the_next_reading) {
    int first = 0, second = 0;
    keeper->reload([&](const auto&) { first = read; });
    keeper->reload([&](const auto&) { second = read; });
    keeper->reload({});
    ASSERT_TRUE(loop.until([&] { return second != 0; }));
    EXPECT_EQ(first, 1);
    EXPECT_EQ(second, 2);
}

TEST_F(Keeper, a_policy_that_is_broken_replaces_nothing) {
    scratch.file("a.json", "{");
    bool failed = false;
    keeper->reload([&](const Result<std::vector<std::string>>& done) { failed = !done; });
    ASSERT_TRUE(loop.until([&] { return failed; }));
    EXPECT_EQ(read, 1);
    EXPECT_EQ(replaced, 0);
}
