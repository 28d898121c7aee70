// What is left when somebody dies: of a killed client nothing, of a killed fastrpcd everything.
#include "tests/integration/leaks.hpp"

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
