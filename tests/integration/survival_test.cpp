// What is left when somebody dies: of a killed client nothing, of a killed fastrpcd everything.
#include "tests/integration/leaks.hpp"
#include "tests/integration/rules_directory.hpp"
#include "tests/integration/session_hosts.hpp"
#include "tests/integration/soc_control.hpp"

#include <future>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::test;

TEST(Survival, a_killed_client_leaves_no_host_no_slot_and_no_context) {
    const auto system = start_system();
    // The root host's listener and the reader of its log wait in the DSP.
    const int parked = system->has_cdsp_root() ? 2 : 0;
    ASSERT_TRUE(stack::eventually([&] { return soc(*system).value("contexts_used", -1) == parked; })) << soc(*system);
    const json before = soc(*system);
    const std::size_t fds_before = broker_fds(*system);
    pid_t host = 0;
    {
        Caller caller(*system, {"--threads", "4"});
        ASSERT_TRUE(caller.calling());
        const json sessions = ctl_list(*system).value("sessions", json::array());
        ASSERT_EQ(sessions.size(), 1U);
        host = sessions[0].value("pid", 0);
        ASSERT_GT(host, 0);
        EXPECT_EQ(soc(*system).value("slots_used", 0), before.value("slots_used", 0) + 1);
        caller.kill();
    }
    EXPECT_TRUE(
        stack::eventually([&] { return soc(*system).value("slots_used", -1) == before.value("slots_used", 0); }));
    EXPECT_TRUE(stack::eventually([&] { return ::kill(host, 0) != 0; })) << "host " << host << " is still there";
    EXPECT_TRUE(stack::eventually([&] { return ctl_list(*system).value("sessions", json::array({1})).empty(); }));
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).empty(); })) << soc(*system);
    const json after = soc(*system);
    EXPECT_EQ(after.value("contexts_used", -1), parked) << after;
    EXPECT_EQ(after.value("contexts_abandoned", -1), 0) << after;
    EXPECT_TRUE(stack::eventually([&] { return broker_fds(*system) == fds_before; }));
}

TEST(Survival, a_killed_fastrpcd_fails_no_call_and_lists_the_session_again) {
    const auto system = start_system();
    Caller caller(*system, {"--threads", "4", "--label", "survivor"});
    ASSERT_TRUE(caller.calling());
    const json before = ctl_list(*system).value("sessions", json::array());
    ASSERT_EQ(before.size(), 1U);
    system->kill_fastrpcd();
    // Calls go on without it: the host's counters say so later.
    std::this_thread::sleep_for(300ms);
    ASSERT_TRUE(system->start_fastrpcd());
    EXPECT_TRUE(stack::eventually([&] { return ctl_list(*system).value("sessions", json::array()).size() == 1; }));
    const json after = ctl_list(*system).value("sessions", json::array());
    ASSERT_EQ(after.size(), 1U);
    for (const char* key : {"id", "pid", "uid", "label", "domain", "pd"})
        EXPECT_EQ(after[0][key], before[0][key]) << key;
    EXPECT_EQ(after[0].value("label", ""), "survivor");
    EXPECT_TRUE(stack::eventually([&] {
        std::size_t running = 0;
        for (const json& pd : ctl_list(*system).value("pds", json::array()))
            running += pd.value("state", "") == "running";
        return running == (system->has_cdsp_root() ? 2U : 1U);
    })) << "the root PDs are listed again";
    const json result = caller.finish();
    EXPECT_EQ(result.value("failed", -1), 0) << result;
    EXPECT_EQ(result.value("mixed", -1), 0) << result;
    EXPECT_GT(result.value("calls", 0), 1000) << result;
}

TEST(Survival, a_new_session_opens_while_the_old_broker_is_only_just_dead) {
    const auto system = start_system();
    system->kill_fastrpcd();
    ASSERT_TRUE(system->start_fastrpcd());
    EXPECT_EQ(call(*system, {"--calls", "10"}).value("failed", -1), 0);
}

// The DSP takes its time to make the PD, so that fastrpcd is killed with the opening half done: the first host's
// session ends with the fastrpcd that held its other end, and what the client has is the second's.
TEST(Survival, an_opening_that_a_killed_fastrpcd_owed_is_made_once_by_the_next) {
    const auto system = start_system({.ready_hosts = 0});
    const auto faults = [&](json rules) {
        command(*system, {{"command", "faults"}, {"domain", "cdsp"}, {"rules", std::move(rules)}});
    };
    const auto hits = [&] {
        const json rules = status(*system)["dsp"]["faults"];
        return rules.empty() ? 0 : rules[0].value("hits", 0);
    };
    faults({{{"pd", "user"}, {"handle", 1}, {"count", 1}, {"do", "latency"}, {"latency", {{"us", 1'500'000}}}}});
    Caller caller(*system, {"--label", "twice"});
    ASSERT_TRUE(stack::eventually([&] { return hits() == 1; })) << status(*system);
    const auto half_done = session_hosts(*system);
    ASSERT_EQ(half_done.size(), 1U);
    system->kill_fastrpcd();
    faults(json::array());
    ASSERT_TRUE(system->start_fastrpcd());
    ASSERT_TRUE(caller.calling());
    EXPECT_TRUE(stack::eventually([&] { return session_hosts(*system).size() == 1; })) << "the half session ends";
    EXPECT_FALSE(session_hosts(*system).contains(*half_done.begin()));
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).size() == 1; })) << soc(*system);
    EXPECT_EQ(ctl_list(*system).value("sessions", json::array()).size(), 1U);
    EXPECT_EQ(caller.finish().value("failed", -1), 0);
}

TEST(Survival, who_queues_for_a_place_still_does_after_fastrpcd_was_killed) {
    const RulesDirectory rules(
        {{"sessions_per_uid", 16}, {"lanes", 1}, {"opens_per_minute", 1000}, {"queue_ms", 60000}});
    const auto system = start_system({.policy = rules.path(), .cdsp_slots = 2, .root_hosts = false});
    Caller first(*system, {"--label", "first"}), second(*system, {"--label", "second"});
    ASSERT_TRUE(first.calling() && second.calling());
    const auto queue = [&] { return ctl_list(*system)["queue"].size(); };
    Caller waiting(*system, {"--label", "waiting", "--wait-ms", "60000"});
    ASSERT_TRUE(stack::eventually([&] { return queue() == 1; })) << ctl_list(*system);
    for (int i = 0; i < 3; ++i) {
        system->kill_fastrpcd();
        ASSERT_TRUE(system->start_fastrpcd());
        ASSERT_TRUE(stack::eventually([&] { return queue() == 1; })) << ctl_list(*system);
    }
    EXPECT_EQ(first.finish().value("failed", -1), 0);
    EXPECT_TRUE(waiting.calling());
    EXPECT_EQ(waiting.finish().value("failed", -1), 0);
    EXPECT_EQ(second.finish().value("failed", -1), 0);
}

// As the storm of ./dev system, where systemd and the bus bring it back; here the test does, as fast as it can.
TEST(Survival, openings_around_kills_of_fastrpcd_are_all_answered) {
    const auto system = start_system();
    std::atomic<bool> over{false};
    std::atomic<int> opened{0};
    std::vector<std::future<std::vector<std::string>>> openers;
    for (int i = 0; i < 2; ++i)
        openers.push_back(std::async(std::launch::async, [&] {
            std::vector<std::string> unanswered;
            while (!over) {
                const json result = call(*system, {"--calls", "1"});
                const std::string name = result.value("name", "");
                // There is no bus activation here: who comes between two fastrpcds is told so at once.
                if (result.value("exit", -1) == 0)
                    ++opened;
                else if (!name.ends_with("ServiceUnknown"))
                    unanswered.push_back(result.dump());
            }
            return unanswered;
        }));
    for (int round = 0; round < 12; ++round) {
        const int before = opened;
        EXPECT_TRUE(stack::eventually([&] { return opened >= before + 1 + round % 3; }));
        system->kill_fastrpcd();
        ASSERT_TRUE(system->start_fastrpcd());
    }
    over = true;
    for (auto& opener : openers)
        for (const std::string& refusal : opener.get()) ADD_FAILURE() << refusal;
    EXPECT_TRUE(stack::eventually([&] { return ctl_list(*system).value("sessions", json::array({1})).empty(); }));
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).empty(); })) << "no session without an owner";
}

TEST(Survival, a_killed_host_ends_its_own_session_alone) {
    const auto system = start_system();
    Caller victim(*system, {"--label", "victim"});
    ASSERT_TRUE(victim.calling());
    const json sessions = ctl_list(*system).value("sessions", json::array());
    ASSERT_EQ(sessions.size(), 1U);
    Caller other(*system, {"--label", "other"});
    ASSERT_TRUE(other.calling());
    ::kill(sessions[0].value("pid", 0), SIGKILL);
    EXPECT_TRUE(victim.failing()) << "a call to a dead host must fail, not hang";
    EXPECT_GT(victim.finish().value("failed", 0), 0);
    EXPECT_EQ(other.finish().value("failed", -1), 0);
    EXPECT_EQ(call(*system, {"--calls", "10"}).value("failed", -1), 0);
}
