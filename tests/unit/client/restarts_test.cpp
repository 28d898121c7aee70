// When an OpenSession that fastrpcd did not live to answer is asked again.
#include "client/restarts.hpp"

#include <gtest/gtest.h>

using namespace fastrpc::core;
using namespace std::chrono_literals;

namespace {

constexpr auto no_reply = "org.freedesktop.DBus.Error.NoReply";
constexpr auto unknown = "org.freedesktop.DBus.Error.ServiceUnknown";
constexpr auto no_owner = "org.freedesktop.DBus.Error.NameHasNoOwner";
constexpr Restarts::Clock::time_point begin{1h};

bool never() {
    ADD_FAILURE() << "nobody needs to know";
    return true;
}

} // namespace

TEST(Restarts, an_answer_of_fastrpcd_and_the_end_of_the_bus_stand) {
    for (const char* name :
         {"org.fastrpc1.Error.Busy", "org.fastrpc1.Error.Timeout", "org.fastrpc1.Error.DomainOffline",
          "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.Timeout",
          "org.freedesktop.DBus.Error.Disconnected", "org.freedesktop.DBus.Error.UnknownMethod", ""}) {
        Restarts restarts(begin + 1h);
        EXPECT_FALSE(restarts.pause_after(name, begin, never)) << name;
        ASSERT_TRUE(restarts.pause_after(no_reply, begin, never));
        EXPECT_FALSE(restarts.pause_after(name, begin, never)) << name << ", of the next fastrpcd";
    }
}

TEST(Restarts, a_request_is_lost_ten_times_and_no_more) {
    Restarts restarts(begin + 1h);
    auto now = begin, last = now;
    for (unsigned i = 0; i < Restarts::max_losses; ++i) {
        const auto pause = restarts.pause_after(no_reply, now, never);
        ASSERT_TRUE(pause) << i;
        EXPECT_GT(*pause, 0ms) << "whatever a request does to fastrpcd, it is not done in a tight loop";
        EXPECT_LE(*pause, 640ms);
        last = now;
        now += *pause + 20s; // of the queue, say
    }
    EXPECT_GT(now - last, 20s);
    EXPECT_FALSE(restarts.pause_after(no_reply, now, never));
}

TEST(Restarts, one_that_was_there_is_waited_for_ten_seconds) {
    Restarts restarts(begin + 1h);
    auto now = begin;
    auto pause = restarts.pause_after(no_reply, now, never);
    for (int i = 0; pause; ++i) {
        now += *pause;
        pause = restarts.pause_after(i % 2 == 0 ? unknown : no_owner, now, never);
    }
    EXPECT_GE(now - begin, Restarts::longest_absence);
    EXPECT_LT(now - begin, Restarts::longest_absence + 1s);
}

TEST(Restarts, each_loss_begins_a_new_absence) {
    Restarts restarts(begin + 1h);
    ASSERT_TRUE(restarts.pause_after(no_reply, begin, never));
    ASSERT_TRUE(restarts.pause_after(unknown, begin + 8s, never));
    ASSERT_TRUE(restarts.pause_after(no_reply, begin + 9s, never));
    EXPECT_TRUE(restarts.pause_after(unknown, begin + 18s, never));
    EXPECT_FALSE(restarts.pause_after(unknown, begin + 19s, never));
}

TEST(Restarts, one_that_never_was_there_is_waited_for_only_if_the_bus_can_start_it) {
    Restarts none(begin + 1h), startable(begin + 1h);
    EXPECT_FALSE(none.pause_after(unknown, begin, [] { return false; }));
    int asked = 0;
    const auto can = [&] { return ++asked > 0; };
    EXPECT_TRUE(startable.pause_after(unknown, begin, can));
    EXPECT_TRUE(startable.pause_after(unknown, begin + 9s, can));
    EXPECT_FALSE(startable.pause_after(unknown, begin + 10s, can));
    EXPECT_EQ(asked, 1);
}

TEST(Restarts, nothing_is_asked_past_the_deadline_of_the_caller) {
    Restarts restarts(begin + 1s);
    ASSERT_TRUE(restarts.pause_after(no_reply, begin + 900ms, never));
    EXPECT_FALSE(restarts.pause_after(no_reply, begin + 999ms, never));
    EXPECT_FALSE(restarts.pause_after(unknown, begin + 2s, never));
}
