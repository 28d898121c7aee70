// News of nodes where no udev runs, in a scratch /dev.
#include "discovery/watcher.hpp"
#include "tests/unit/discovery/events.hpp"
#include "tests/unit/discovery/fake_machine.hpp"

#include <algorithm>
#include <future>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>

using namespace fastrpc;
using namespace fastrpc::discovery;
using discovery::test::FakeMachine;
using Kind = NodeEvent::Kind;

namespace {

std::unique_ptr<Watcher> watch(const FakeMachine& fake) {
    auto watcher = Watcher::open(fake.roots());
    EXPECT_TRUE(watcher) << watcher.error().text;
    EXPECT_EQ((*watcher)->means(), "inotify");
    return std::move(*watcher);
}

std::vector<NodeEvent> events_of(Watcher& watcher, std::size_t count) {
    return discovery::test::events_of(watcher, count, false);
}

// Added, removed, added, ... of one domain.
void expect_turns(const std::vector<NodeEvent>& events, Domain domain) {
    for (std::size_t i = 0; i < events.size(); ++i) {
        ASSERT_EQ(events[i].kind, i % 2 == 0 ? Kind::added : Kind::removed) << i;
        ASSERT_EQ(events[i].node.domain, domain);
    }
}

} // namespace

TEST(Inotify, what_was_there_is_no_event_and_what_comes_is) {
    const FakeMachine fake;
    fake.add_node("fastrpc-adsp-secure");
    const auto watcher = watch(fake);
    EXPECT_EQ(watcher->nodes(Domain::adsp).size(), 1U);
    fake.add_node("ttyS0");
    fake.add_node("fastrpc-cdsp");
    fake.remove_node("fastrpc-adsp-secure");
    const auto events = events_of(*watcher, 2);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0], (NodeEvent{Kind::added, {fake.dev("fastrpc-cdsp"), Backend::misc, Domain::cdsp, false}}));
    EXPECT_EQ(events[1].kind, Kind::removed);
    EXPECT_EQ(events[1].node.domain, Domain::adsp);
    EXPECT_TRUE(watcher->nodes(Domain::adsp).empty());
    EXPECT_EQ(watcher->nodes().size(), 1U);
}

TEST(Inotify, a_thousand_quick_restarts_are_two_thousand_events) {
    const FakeMachine fake;
    const auto watcher = watch(fake);
    for (int i = 0; i < 1000; ++i) {
        fake.add_node("fastrpc-cdsp");
        fake.remove_node("fastrpc-cdsp");
    }
    const auto events = events_of(*watcher, 2000);
    ASSERT_EQ(events.size(), 2000U);
    expect_turns(events, Domain::cdsp);
}

TEST(Inotify, a_thousand_quick_restarts_of_an_accel_node_too) {
    const FakeMachine fake;
    fake.add_accel(0, "cdsp");
    fake.add_accel(1, "adsp"); // keeps the directory there
    const auto watcher = watch(fake);
    for (int i = 0; i < 1000; ++i) {
        fake.remove_accel(0);
        fake.add_accel(0, "cdsp");
    }
    auto events = events_of(*watcher, 2000);
    ASSERT_EQ(events.size(), 2000U);
    EXPECT_EQ(events[0].kind, Kind::removed);
    events.erase(events.begin());
    expect_turns(events, Domain::cdsp);
}

TEST(Inotify, the_accel_directory_may_come_late_and_come_again) {
    const FakeMachine fake;
    const auto watcher = watch(fake);
    for (int round = 0; round < 20; ++round) {
        fake.add_accel(0, "gdsp0");
        auto events = events_of(*watcher, 1);
        ASSERT_EQ(events.size(), 1U) << round;
        EXPECT_EQ(events[0].kind, Kind::added);
        EXPECT_EQ(events[0].node.backend, Backend::accel);
        fake.remove("dev/accel");
        events = events_of(*watcher, 1);
        ASSERT_EQ(events.size(), 1U) << round;
        EXPECT_EQ(events[0].kind, Kind::removed);
        fake.remove("sys/class/accel");
    }
}

TEST(Inotify, an_accel_directory_that_was_replaced_unseen_ends_in_the_truth) {
    const FakeMachine fake;
    fake.add_accel(0, "cdsp");
    const auto watcher = watch(fake);
    for (int round = 0; round < 50; ++round) {
        fake.remove("dev/accel");
        fake.add_accel(0, "cdsp");
    }
    const auto events = events_of(*watcher, 2);
    ASSERT_GE(events.size(), 2U);
    EXPECT_EQ(events[0].kind, Kind::removed);
    EXPECT_EQ(events.back().kind, Kind::added);
    EXPECT_EQ(watcher->nodes(Domain::cdsp).size(), 1U);
    fake.remove_accel(0); // still watched
    ASSERT_EQ(events_of(*watcher, 1).size(), 1U);
    EXPECT_TRUE(watcher->nodes().empty());
}

TEST(Inotify, news_that_the_queue_could_not_hold_is_made_up_for) {
    std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
    int most = 0;
    limit >> most;
    ASSERT_GT(most, 0);
    const FakeMachine fake;
    fake.add_node("fastrpc-sdsp");
    const auto watcher = watch(fake);
    for (int i = 0; i < most / 2 + 10; ++i) {
        fake.add_node("noise");
        fake.remove_node("noise");
    }
    fake.add_node("fastrpc-cdsp"); // none of these is heard
    fake.remove_node("fastrpc-sdsp");
    const auto events = events_of(*watcher, 2);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].node.domain, Domain::sdsp);
    EXPECT_EQ(events[0].kind, Kind::removed);
    EXPECT_EQ(events[1].node.domain, Domain::cdsp);
    EXPECT_EQ(events[1].kind, Kind::added);
}

TEST(Inotify, a_change_of_mode_is_told) {
    const FakeMachine fake;
    fake.add_node("fastrpc-cdsp");
    const auto watcher = watch(fake);
    std::filesystem::permissions(fake.dev("fastrpc-cdsp"), std::filesystem::perms::owner_read);
    pollfd wanted{watcher->fd(), POLLIN, 0};
    ASSERT_GT(::poll(&wanted, 1, 10000), 0);
    const auto events = watcher->dispatch();
    ASSERT_TRUE(events);
    ASSERT_EQ(events->size(), 1U);
    EXPECT_EQ(events->at(0).kind, Kind::changed);
}

TEST(Inotify, without_dev_there_is_an_error_that_names_it) {
    const FakeMachine fake;
    fake.remove("dev");
    const auto watcher = Watcher::open(fake.roots());
    ASSERT_FALSE(watcher);
    EXPECT_NE(watcher.error().text.find("/dev"), std::string::npos) << watcher.error().text;
}

TEST(Inotify, the_end_of_dev_is_an_error_and_not_silence) {
    const FakeMachine fake;
    const auto watcher = watch(fake);
    fake.remove("dev");
    pollfd wanted{watcher->fd(), POLLIN, 0};
    ASSERT_GT(::poll(&wanted, 1, 10000), 0);
    const auto events = watcher->dispatch();
    ASSERT_FALSE(events);
    EXPECT_EQ(events.error().kind, ErrorKind::lost);
}

TEST(Inotify, waiting_ends_with_the_node_or_with_the_time) {
    const FakeMachine fake;
    const auto none = wait_for_node(Domain::cdsp, std::chrono::milliseconds(30), fake.roots());
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::offline);
    auto waiting = std::async(std::launch::async,
                              [&] { return wait_for_node(Domain::cdsp, std::chrono::seconds(20), fake.roots()); });
    fake.add_node("fastrpc-adsp");
    fake.add_node("fastrpc-cdsp-secure");
    const auto nodes = waiting.get();
    ASSERT_TRUE(nodes) << nodes.error().text;
    EXPECT_EQ(nodes->at(0).path, fake.dev("fastrpc-cdsp-secure"));
}
