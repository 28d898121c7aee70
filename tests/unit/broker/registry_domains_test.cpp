// Domains: what discovery and hosts say, joined into state, generation and a budget of contexts.
#include "tests/unit/broker/registry_fixture.hpp"

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class DomainsTest : public RegistryTest {
protected:
    static constexpr Domain cdsp = Domain::cdsp;
    DeviceFacts here{.nodes = {"/dev/fastrpc-cdsp-secure", "/dev/fastrpc-cdsp"},
                     .backend = "misc",
                     .remoteproc = "cdsp",
                     .remoteproc_state = "running"};
    DeviceFacts away{.remoteproc = "cdsp", .remoteproc_state = "crashed", .problems = {"the DSP has crashed"}};

    void restart() {
        registry.set_devices(cdsp, away);
        registry.set_devices(cdsp, here);
    }
    const DomainEntry& entry() { return *registry.find_domain(cdsp); }
    /// A session host with a node open on a kernel that loses ids.
    static Description with_node(std::uint64_t id, std::uint32_t lanes = 4) {
        Description about = session_of(id, 1000, lanes);
        about.node = "/dev/fastrpc-cdsp";
        about.profile = "misc 6.12";
        about.pid = static_cast<std::uint32_t>(1000 + id);
        return about;
    }
    bool gone(std::size_t left = 0) {
        return loop.until([&] { return registry.sessions().size() == left; });
    }
};

} // namespace

TEST_F(DomainsTest, where_fastrpcd_sees_no_node_the_state_follows_the_pds) {
    auto host = adopted(root_of(Domain::cdsp, PdState::waiting));
    ASSERT_TRUE(host);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->state, "absent");
    for (const auto& [state, expected] :
         {std::pair(PdState::attaching, "starting"), std::pair(PdState::running, "online"),
          std::pair(PdState::restarting, "recovering"), std::pair(PdState::failed, "failed")}) {
        Description news = root_of(Domain::cdsp, state);
        news.reason = "because";
        ASSERT_TRUE(host->say(ControlOp::state, news));
        EXPECT_TRUE(loop.until([&] { return registry.find_domain(Domain::cdsp)->state == expected; })) << expected;
    }
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->problems, std::vector<std::string>{"root: because"});
}

TEST_F(DomainsTest, a_domain_remembers_when_and_why_its_static_pd_last_crashed) {
    auto host = adopted(root_of(Domain::cdsp));
    ASSERT_TRUE(host);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->last_crash_us, 0U);
    for (const PdState state : {PdState::restarting, PdState::attaching, PdState::running}) {
        Description news = root_of(Domain::cdsp, state);
        news.reason = state == PdState::restarting ? "the DSP went away" : "attached";
        ASSERT_TRUE(host->say(ControlOp::state, news));
        ASSERT_TRUE(loop.until([&] { return registry.find_pd(Domain::cdsp, PdKind::root)->about.state == state; }));
    }
    EXPECT_GT(registry.find_domain(Domain::cdsp)->last_crash_us, 0U);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->last_crash_reason, "root PD: the DSP went away");
}

TEST_F(DomainsTest, a_full_dsp_teaches_how_many_sessions_it_has) {
    const auto host = adopted(root_of(Domain::cdsp));
    ASSERT_TRUE(host);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->sessions_max, 14U);
    registry.note_full(Domain::adsp); // unknown: nothing to learn
    registry.note_full(Domain::cdsp);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->sessions_max, 1U);
    EXPECT_EQ(registry.find_domain(Domain::adsp), nullptr);
}

TEST_F(DomainsTest, a_dsp_that_still_holds_what_a_killed_host_had_is_not_taken_for_a_smaller_one) {
    const auto root = adopted(root_of(Domain::cdsp));
    auto good = adopted(session_of(1, 1000)), killed = adopted(session_of(2, 1000));
    ASSERT_TRUE(root && good && killed);
    ASSERT_TRUE(good->bye("the client closed the session"));
    ASSERT_TRUE(loop.until([&] { return registry.sessions().size() == 1; }));
    killed->socket.reset();
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    registry.note_full(Domain::cdsp);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->sessions_max, 14U);
}

TEST_F(DomainsTest, a_discovered_domain_is_there_from_the_start_and_its_generation_is_one) {
    registry.set_devices(cdsp, here);
    EXPECT_EQ(seen.events, std::vector<std::string>{"domain+ cdsp"});
    EXPECT_EQ(entry().state, "online");
    EXPECT_EQ(entry().generation, 1U);
    EXPECT_EQ(entry().backend, "misc");
    EXPECT_EQ(entry().nodes, here.nodes);
    EXPECT_EQ(entry().last_crash_us, 0U);
}

TEST_F(DomainsTest, without_a_node_a_remoteproc_makes_the_difference_between_offline_and_absent) {
    registry.set_devices(cdsp, away);
    EXPECT_EQ(entry().state, "offline");
    EXPECT_EQ(entry().generation, 0U);
    EXPECT_EQ(entry().problems, std::vector<std::string>{"the DSP has crashed"});
    registry.set_devices(cdsp, here);
    EXPECT_EQ(entry().state, "online");
    EXPECT_TRUE(entry().problems.empty());
    registry.set_devices(cdsp, DeviceFacts{});
    EXPECT_EQ(entry().state, "absent");
    EXPECT_EQ(seen.events,
              (std::vector<std::string>{"domain+ cdsp", "domain online", "generation 0 1", "domain absent"}));
}

TEST_F(DomainsTest, each_return_of_the_first_node_is_a_generation_and_a_second_node_is_none) {
    DeviceFacts one = here;
    one.nodes.pop_back();
    registry.set_devices(cdsp, one);
    registry.set_devices(cdsp, here);
    EXPECT_EQ(entry().generation, 1U);
    registry.set_devices(cdsp, one);
    registry.set_devices(cdsp, here);
    EXPECT_EQ(entry().generation, 1U) << "the DSP never went away";
    seen.events.clear();
    for (unsigned i = 0; i < 1000; ++i) restart();
    EXPECT_EQ(entry().generation, 1001U);
    ASSERT_EQ(seen.events.size(), 3000U);
    for (unsigned i = 0; i < 1000; ++i) {
        EXPECT_EQ(seen.events[3 * i], "domain offline");
        EXPECT_EQ(seen.events[3 * i + 1], "domain online");
        EXPECT_EQ(seen.events[3 * i + 2], fmt::format("generation {} {}", i + 1, i + 2));
    }
    EXPECT_GT(entry().last_crash_us, 0U);
    EXPECT_EQ(entry().last_crash_reason, "the DSP went away with its nodes (remoteproc: crashed)");
}

TEST_F(DomainsTest, with_its_node_there_a_domain_shows_how_its_pds_are) {
    registry.set_devices(cdsp, here);
    auto host = adopted(root_of(cdsp, PdState::waiting));
    ASSERT_TRUE(host);
    EXPECT_EQ(entry().state, "online");
    EXPECT_EQ(entry().problems, std::vector<std::string>{"root: attached"}) << "it waits although the node is there";
    const auto says = [&](PdState state, std::uint32_t restarts) {
        Description news = root_of(cdsp, state);
        news.restarts = restarts;
        EXPECT_TRUE(host->say(ControlOp::state, news));
        EXPECT_TRUE(loop.until([&] {
            const Description& about = registry.find_pd(cdsp, PdKind::root)->about;
            return about.state == state && about.restarts == restarts;
        }));
        loop.settle();
        return entry().state;
    };
    EXPECT_EQ(says(PdState::attaching, 0), "starting");
    EXPECT_EQ(says(PdState::running, 0), "online");
    EXPECT_EQ(says(PdState::restarting, 1), "recovering");
    EXPECT_EQ(says(PdState::attaching, 1), "recovering");
    EXPECT_EQ(says(PdState::failed, 1), "failed");
    EXPECT_EQ(says(PdState::running, 1), "online");
    registry.set_devices(cdsp, away);
    EXPECT_EQ(entry().state, "offline") << "whatever the host has not noticed yet";
}

TEST_F(DomainsTest, a_session_that_failed_says_nothing_about_its_dsp) {
    registry.set_devices(cdsp, here);
    auto host = adopted(with_node(1));
    ASSERT_TRUE(host);
    for (const PdState state : {PdState::attaching, PdState::restarting, PdState::failed}) {
        Description news = with_node(1);
        news.state = state;
        ASSERT_TRUE(host->say(ControlOp::state, news));
        ASSERT_TRUE(loop.until([&] { return registry.sessions().begin()->second.about.state == state; }));
        EXPECT_EQ(entry().state, "online");
    }
}

TEST_F(DomainsTest, generations_of_pds_count_only_where_no_node_is_seen) {
    const auto host = adopted(root_of(cdsp));
    ASSERT_TRUE(host);
    EXPECT_EQ(entry().generation, 3U);
    EXPECT_EQ(entry().nodes, std::vector<std::string>{"/dev/fastrpc-x"});
    registry.set_devices(cdsp, here);
    EXPECT_EQ(entry().generation, 4U) << "it never goes back";
    EXPECT_EQ(entry().nodes, here.nodes);
}

TEST_F(DomainsTest, backend_profile_and_capabilities_are_the_hosts_and_stay) {
    registry.set_devices(cdsp, here);
    {
        Description about = root_of(cdsp);
        about.backend = "accel";
        about.profile = "qda v1";
        about.capabilities[6] = 0x8768;
        const auto host = adopted(about);
        ASSERT_TRUE(host);
        EXPECT_EQ(entry().backend, "accel");
        Description silent = session_of(5, 1000);
        const auto session = adopted(silent);
        ASSERT_TRUE(session);
        EXPECT_EQ(entry().profile, "qda v1") << "a host that knows nothing takes nothing away";
    }
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty() && !registry.find_pd(cdsp, PdKind::root)->link; }));
    EXPECT_EQ(entry().profile, "qda v1");
    EXPECT_EQ(entry().capabilities[6], 0x8768U);
    EXPECT_EQ(entry().backend, "misc") << "of the node that is there";
}

TEST_F(DomainsTest, a_host_that_says_what_it_leaves_behind_is_believed_as_far_as_it_can_be_true) {
    registry.set_devices(cdsp, here);
    auto host = adopted(with_node(1));
    ASSERT_TRUE(host);
    EXPECT_EQ(entry().contexts_granted, 4U);
    ASSERT_TRUE(host->say(ControlOp::bye, ByeMessage{"over", {}, 3}));
    ASSERT_TRUE(gone());
    EXPECT_EQ(entry().contexts_lost, 3U);
    EXPECT_EQ(entry().contexts_granted, 0U);
    ASSERT_EQ(entry().problems.size(), 1U);
    EXPECT_NE(entry().problems[0].find("3 of its 255"), std::string::npos);
    auto liar = adopted(with_node(2));
    ASSERT_TRUE(liar);
    ASSERT_TRUE(liar->say(ControlOp::bye, ByeMessage{"over", {}, 0xFFFFFFFF}));
    ASSERT_TRUE(gone());
    EXPECT_LE(entry().contexts_lost, 3U + 4 + 8);
    restart();
    EXPECT_EQ(entry().contexts_lost, 0U);
    EXPECT_TRUE(entry().problems.empty());
}

TEST_F(DomainsTest, a_host_that_vanishes_leaves_its_lanes_or_what_it_last_counted) {
    registry.set_devices(cdsp, here);
    { ASSERT_TRUE(adopted(with_node(1))); }
    ASSERT_TRUE(gone());
    EXPECT_EQ(entry().contexts_lost, 5U) << "four lanes and the listener";
    {
        auto host = adopted(with_node(2));
        ASSERT_TRUE(host);
        bool answered = false;
        registry.find_session("s0000000000000002")->link->query([&](const Result<Counters>&) { answered = true; });
        ASSERT_TRUE(host->answer_query({.in_flight = 2}));
        ASSERT_TRUE(loop.until([&] { return answered; }));
    }
    ASSERT_TRUE(gone());
    EXPECT_EQ(entry().contexts_lost, 7U);
    {
        Description old = with_node(3);
        old.profile = "misc 6.1";
        ASSERT_TRUE(adopted(old));
    }
    ASSERT_TRUE(gone());
    EXPECT_EQ(entry().contexts_lost, 7U) << "that kernel gives them back";
    EXPECT_EQ(registry.lost_contexts(cdsp), 7U);
    EXPECT_EQ(registry.lost_contexts(Domain::adsp), 0U);
}

TEST_F(DomainsTest, what_was_left_inside_a_dsp_that_has_restarted_is_not_counted) {
    registry.set_devices(cdsp, here);
    auto host = adopted(with_node(1));
    ASSERT_TRUE(host);
    restart();
    ASSERT_TRUE(host->say(ControlOp::bye, ByeMessage{"the DSP restarted", {}, 4}));
    ASSERT_TRUE(gone());
    EXPECT_EQ(entry().contexts_lost, 0U);
    auto root = adopted(root_of(cdsp));
    ASSERT_TRUE(root);
    restart();
    ASSERT_TRUE(root->say(ControlOp::state, root_of(cdsp))); // attached to the new one
    loop.settle();
    root->socket.reset();
    ASSERT_TRUE(loop.until([&] { return !registry.find_pd(cdsp, PdKind::root)->link; }));
    EXPECT_EQ(entry().contexts_lost, 1U) << "its listener";
}

TEST_F(DomainsTest, a_host_that_only_lost_its_connection_has_lost_nothing) {
    registry.set_devices(cdsp, here);
    { ASSERT_TRUE(adopted(with_node(1))); }
    ASSERT_TRUE(gone());
    EXPECT_EQ(entry().contexts_lost, 5U);
    {
        const auto again = adopted(with_node(1));
        ASSERT_TRUE(again);
        EXPECT_EQ(entry().contexts_lost, 0U);
    }
    const auto unnoticed = adopted(with_node(1)); // the loop has not run since the other's end
    ASSERT_TRUE(unnoticed);
    EXPECT_EQ(registry.sessions().size(), 1U);
    EXPECT_EQ(entry().contexts_lost, 0U);
}
