// Hardware sessions: who may have the next, what a refusal teaches, and for how long.
#include "broker/slots.hpp"

#include <gtest/gtest.h>

using namespace fastrpc::broker;
using namespace std::chrono_literals;
using Answer = Slots::Answer;

namespace {

constexpr Slots::Time start{};

} // namespace

TEST(Slots, static_pds_and_root_keep_theirs) {
    EXPECT_EQ(Slots::for_sessions(14, 0, false), 13U);
    EXPECT_EQ(Slots::for_sessions(14, 3, false), 10U);
    EXPECT_EQ(Slots::for_sessions(14, 3, true), 11U);
    EXPECT_EQ(Slots::for_sessions(4, 1, false), 3U) << "so few that root has none of its own";
    EXPECT_EQ(Slots::for_sessions(1, 3, true), 0U);
    const Slots slots;
    EXPECT_EQ(slots.may_start({.sessions = 9, .attached = 1, .known = 3}, false, start), Answer::yes);
    EXPECT_EQ(slots.may_start({.sessions = 10, .attached = 1, .known = 3}, false, start), Answer::no)
        << "a PD that is away comes back";
    EXPECT_EQ(slots.may_start({.sessions = 10, .attached = 1, .known = 3}, true, start), Answer::yes);
    EXPECT_EQ(slots.may_start({.sessions = 11, .attached = 1, .known = 3}, true, start), Answer::no);
}

TEST(Slots, a_refusal_teaches_how_many_there_are_and_one_more_end_makes_room) {
    Slots slots;
    const Slots::Use use{.sessions = 2, .attached = 1, .known = 1};
    slots.full(use, start);
    EXPECT_EQ(slots.max(), 3U);
    EXPECT_EQ(slots.may_start(use, false, start), Answer::no);
    EXPECT_EQ(slots.may_start({1, 1, 1}, false, start), Answer::yes);
}

TEST(Slots, a_full_dsp_is_tried_again_at_growing_distances_and_never_more_often) {
    Slots slots;
    const Slots::Use use{.sessions = 2, .attached = 1, .known = 1};
    Slots::Time now = start;
    slots.full(use, now);
    for (const auto distance : {200ms, 400ms, 800ms, 1600ms, 3200ms, 3200ms}) {
        EXPECT_EQ(slots.may_start(use, false, now + distance - 1ms), Answer::no);
        ASSERT_EQ(slots.may_start(use, false, now + distance), Answer::retry) << distance.count();
        now += distance;
        slots.tried(now);
        EXPECT_EQ(slots.may_start(use, false, now), Answer::no) << "one at a time";
    }
    slots.changed();
    slots.full(use, now);
    EXPECT_EQ(slots.retry_at(), now + 200ms);
}

TEST(Slots, a_retry_that_succeeds_shows_that_there_are_more) {
    Slots slots;
    slots.full({2, 1, 1}, start);
    slots.seen({3, 1, 1});
    EXPECT_EQ(slots.max(), 4U);
    EXPECT_EQ(slots.may_start({3, 1, 1}, false, start), Answer::retry) << "maybe one more";
    slots.seen({20, 1, 1});
    EXPECT_EQ(slots.max(), Slots::most);
}

TEST(Slots, a_slot_that_is_kept_is_not_tried_by_others) {
    Slots slots;
    slots.full({7, 1, 1}, start); // 8 in all, and one of the sessions has ended since
    EXPECT_EQ(slots.may_start({6, 1, 1}, false, start + 1min), Answer::no);
    EXPECT_EQ(slots.may_start({6, 1, 1}, true, start + 1min), Answer::yes) << "it is root's";
}

TEST(Slots, a_refusal_soon_after_a_host_was_killed_teaches_nothing_and_is_waited_out) {
    Slots slots;
    const Slots::Use use{.sessions = 9, .attached = 1, .known = 1};
    slots.killed(start);
    EXPECT_EQ(slots.may_start(use, false, start), Answer::yes);
    slots.full(use, start);
    EXPECT_EQ(slots.max(), Slots::most);
    EXPECT_EQ(slots.may_start(use, true, start + 199ms), Answer::no);
    EXPECT_EQ(slots.retry_at(), start + 200ms) << "who waits is woken then";
    EXPECT_EQ(slots.may_start(use, false, start + 200ms), Answer::yes);
    slots.full(use, start + 200ms);
    EXPECT_EQ(slots.may_start(use, false, start + 599ms), Answer::no);
    EXPECT_EQ(slots.may_start(use, false, start + 600ms), Answer::yes);
    slots.full(use, start + 600ms);
    slots.changed();
    EXPECT_EQ(slots.may_start(use, false, start + 600ms), Answer::yes) << "what ended made room";
    slots.full(use, start + 5s);
    EXPECT_EQ(slots.max(), 10U) << "by then it is gone";
}

TEST(Slots, what_was_learned_is_forgotten_in_time_and_with_the_generation) {
    Slots slots;
    EXPECT_FALSE(slots.stale(start + 1h));
    slots.full({0, 0, 0}, start);
    EXPECT_EQ(slots.max(), 0U);
    EXPECT_FALSE(slots.stale(start + 29s));
    EXPECT_TRUE(slots.stale(start + 30s));
    slots.forget();
    EXPECT_EQ(slots.max(), Slots::most);
    EXPECT_EQ(slots.may_start({0, 0, 0}, false, start), Answer::yes);
}
