// Whatever sources report, twice, never or wrongly: additions and removals of a node take turns.
#include "discovery/node_tracker.hpp"
#include "tests/unit/discovery/fake_machine.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace fastrpc;
using namespace fastrpc::discovery;
using discovery::test::FakeMachine;
using Kind = NodeEvent::Kind;

namespace {

std::vector<Kind> kinds(const std::vector<NodeEvent>& events) {
    std::vector<Kind> result;
    for (const NodeEvent& event : events) result.push_back(event.kind);
    return result;
}

} // namespace

TEST(NodeTracker, news_of_what_is_known_is_a_change_and_of_what_is_not_nothing) {
    const FakeMachine fake;
    NodeTracker tracker(fake.roots());
    tracker.vanished("fastrpc-cdsp");
    tracker.changed("fastrpc-cdsp");
    tracker.appeared("tty0");
    EXPECT_TRUE(tracker.take().empty());
    tracker.appeared("fastrpc-cdsp");
    tracker.appeared("fastrpc-cdsp");
    tracker.vanished("fastrpc-cdsp");
    tracker.vanished("fastrpc-cdsp");
    EXPECT_EQ(kinds(tracker.take()), (std::vector{Kind::added, Kind::changed, Kind::removed}));
}

TEST(NodeTracker, an_accel_node_that_is_gone_already_keeps_its_last_domain) {
    const FakeMachine fake;
    NodeTracker tracker(fake.roots());
    fake.add_accel(0, "cdsp");
    tracker.appeared("accel/accel0");
    fake.remove_accel(0);
    tracker.vanished("accel/accel0");
    tracker.appeared("accel/accel0"); // news of a coming and going that is over
    tracker.vanished("accel/accel0");
    const auto events = tracker.take();
    EXPECT_EQ(kinds(events), (std::vector{Kind::added, Kind::removed, Kind::added, Kind::removed}));
    for (const NodeEvent& event : events) EXPECT_EQ(event.node.domain, Domain::cdsp);
    tracker.appeared("accel/accel1");
    EXPECT_TRUE(tracker.take().empty()) << "nobody ever said whose this is";
}

TEST(NodeTracker, an_accel_node_of_an_unknown_maker_takes_over_no_domain) {
    const FakeMachine fake;
    NodeTracker tracker(fake.roots());
    fake.add_accel(0, "cdsp");
    tracker.rescan();
    fake.remove_accel(0);
    tracker.vanished("accel/accel0");
    std::ignore = tracker.take();
    fake.write("sys/class/accel/accel0/device/vendor", "another"); // there, and without a label
    fake.add_node("accel/accel0");
    tracker.appeared("accel/accel0");
    EXPECT_TRUE(tracker.take().empty());
    fake.add_accel(0, "adsp"); // its label comes late
    tracker.changed("accel/accel0");
    const auto events = tracker.take();
    ASSERT_EQ(kinds(events), std::vector{Kind::added});
    EXPECT_EQ(events[0].node.domain, Domain::adsp);
}

TEST(NodeTracker, a_rescan_makes_the_events_that_were_lost) {
    const FakeMachine fake;
    for (const char* name : {"fastrpc-adsp-secure", "fastrpc-cdsp", "fastrpc-sdsp"}) fake.add_node(name);
    NodeTracker tracker(fake.roots());
    tracker.rescan();
    EXPECT_EQ(tracker.take().size(), 3U);
    tracker.rescan();
    EXPECT_TRUE(tracker.take().empty()) << "nothing has happened";
    fake.remove_node("fastrpc-adsp-secure");
    fake.add_node("fastrpc-gdsp0");
    fake.add_node("other"); // so that the node cannot get its old inode back
    fake.remove_node("fastrpc-cdsp");
    fake.add_node("keeps-the-inode");
    fake.add_node("fastrpc-cdsp");
    tracker.rescan();
    std::map<Domain, std::vector<Kind>> by_domain;
    for (const NodeEvent& event : tracker.take()) by_domain[event.node.domain].push_back(event.kind);
    EXPECT_EQ(by_domain, (std::map<Domain, std::vector<Kind>>{{Domain::adsp, {Kind::removed}},
                                                              {Domain::cdsp, {Kind::removed, Kind::added}},
                                                              {Domain::gdsp0, {Kind::added}}}));
}

TEST(NodeTracker, a_change_of_mode_is_no_new_node) {
    const FakeMachine fake;
    fake.add_node("fastrpc-cdsp");
    NodeTracker tracker(fake.roots());
    tracker.rescan();
    std::ignore = tracker.take();
    std::filesystem::permissions(fake.dev("fastrpc-cdsp"), std::filesystem::perms::owner_read);
    tracker.rescan();
    EXPECT_TRUE(tracker.take().empty());
}

TEST(NodeTracker, additions_and_removals_take_turns_whatever_is_reported) {
    const FakeMachine fake;
    NodeTracker tracker(fake.roots());
    std::mt19937 random(7);
    const std::vector<std::string> names{"fastrpc-cdsp", "fastrpc-cdsp-secure", "fastrpc-adsp", "accel/accel0"};
    std::map<std::string, bool> there;
    fake.write("sys/class/accel/accel0/device/of_node/label", "gdsp0");
    for (int round = 0; round < 3000; ++round) {
        const std::string& name = names[random() % names.size()];
        switch (random() % 6) {
        case 0:
            fake.add_node(name);
            break;
        case 1:
            fake.remove_node(name);
            break;
        case 2:
            tracker.appeared(name);
            break;
        case 3:
            tracker.vanished(name);
            break;
        case 4:
            tracker.changed(name);
            break;
        default:
            if (random() % 8 == 0) tracker.rescan();
            if (random() % 64 == 0) tracker.vanished_below("accel/");
        }
        for (const NodeEvent& event : tracker.take()) {
            bool& known = there[event.node.path];
            ASSERT_EQ(known, event.kind != Kind::added) << event.node.path;
            known = event.kind != Kind::removed;
        }
    }
    tracker.rescan();
    for (const std::string& name : names) {
        const auto nodes = tracker.nodes();
        EXPECT_EQ(std::ranges::count(nodes, fake.dev(name), &Node::path), exists(fake.dev(name)) ? 1 : 0) << name;
    }
}
