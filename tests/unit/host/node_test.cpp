// What the coming and going of device nodes, and a kernel that wants a privilege, do to hosts.
#include "session_harness.hpp"

#include "static_harness.hpp"

#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

/// A DSP behind an accel node, whose driver leaves callers asleep when it goes.
Facts accel_facts() {
    return {"accel", "QDA", true, false, false, false, unknown_capabilities()};
}

class NodesOfStaticPds : public StaticHarness {
protected:
    /// The node goes away in the machine and in what the host can open.
    void leave() {
        away = true;
        machine.remove_node("fastrpc-adsp-secure");
    }
    void come() {
        away = false;
        machine.add_node("fastrpc-adsp-secure");
    }
};

using NodesOfSessions = SessionHarness;

} // namespace

TEST_F(NodesOfStaticPds, a_removed_node_is_told_and_its_return_attaches_at_once) {
    dsp.node = machine.dev("fastrpc-adsp-secure");
    machine.add_node("fastrpc-adsp-secure");
    start(PdKind::root);
    for (std::uint64_t generation = 1; generation <= 5; ++generation) {
        EXPECT_EQ(until(PdState::running).generation, generation);
        leave();
        dsp.die({-1, EPIPE}); // as the misc driver does
        EXPECT_EQ(next().state, PdState::restarting);
        Description waiting = until(PdState::waiting);
        EXPECT_TRUE(waiting.node.empty());
        EXPECT_TRUE(waiting.backend.empty());
        const auto begin = std::chrono::steady_clock::now();
        come();
        EXPECT_EQ(next().state, PdState::attaching) << "a poll would not come so soon";
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
    }
    until(PdState::running);
}

TEST_F(NodesOfStaticPds, whom_the_driver_leaves_asleep_is_got_out) {
    dsp.facts = accel_facts();
    dsp.node = machine.dev("accel/accel0");
    machine.add_accel(0, "adsp");
    start(PdKind::root);
    EXPECT_EQ(until(PdState::running).backend, "accel");
    away = true;
    machine.remove_accel(0); // nobody tells the callers
    const Description restarting = until(PdState::restarting);
    EXPECT_NE(restarting.reason.find("ENODEV"), std::string::npos) << restarting.reason;
    until(PdState::waiting);
    EXPECT_EQ(dsp.interrupts, 2);
    away = false;
    dsp.interrupts = 0;
    machine.add_accel(0, "adsp");
    EXPECT_EQ(until(PdState::running).generation, 2U);
}

TEST_F(NodesOfStaticPds, nodes_of_other_dsps_are_not_heard) {
    away = true;
    start(PdKind::root);
    until(PdState::waiting);
    const int before = opens;
    machine.add_node("fastrpc-cdsp");
    machine.remove_node("fastrpc-cdsp");
    come();
    until(PdState::running);
    EXPECT_EQ(opens, before + 1);
}

TEST_F(NodesOfStaticPds, one_that_can_not_be_opened_yet_is_tried_when_its_rights_change) {
    refusal = Error{ErrorKind::offline, EACCES, "no rights"};
    machine.add_node("fastrpc-adsp-secure");
    start(PdKind::root);
    EXPECT_EQ(until(PdState::waiting).reason, "no rights");
    refusal.reset();
    ASSERT_EQ(::chmod(machine.dev("fastrpc-adsp-secure").c_str(), 0666), 0);
    until(PdState::running);
}

TEST_F(NodesOfStaticPds, a_driver_without_the_pd_is_waited_past) {
    refusal = Error{ErrorKind::unsupported, 0, "QDA has no root PD"};
    start(PdKind::root);
    EXPECT_EQ(until(PdState::waiting).reason, "QDA has no root PD");
    refusal.reset();
    come(); // the misc driver's
    until(PdState::running);
}

TEST_F(NodesOfStaticPds, what_a_person_can_do_follows_a_refused_init) {
    dsp.init_result = {-1, EPERM};
    dsp.advice = "; give it CAP_SYS_ADMIN";
    start(PdKind::root);
    const Description refused = until(PdState::restarting);
    EXPECT_NE(refused.reason.find("EPERM"), std::string::npos) << refused.reason;
    EXPECT_NE(refused.reason.find("; give it CAP_SYS_ADMIN"), std::string::npos) << refused.reason;
}

TEST_F(NodesOfStaticPds, a_privilege_serves_one_init_and_a_new_host_brings_it_back) {
    has_privilege = true;
    start(PdKind::root);
    until(PdState::running);
    EXPECT_EQ(drops, 2); // the loop's thread and the one of the init
    dsp.init_result = {-1, EPERM};
    dsp.die({-1, EPIPE});
    EXPECT_NE(goodbye().reason.find("new host"), std::string::npos);
}

TEST_F(NodesOfStaticPds, a_host_that_gives_up_inside_the_dsp_says_what_it_costs) {
    environment.end_limit = std::chrono::milliseconds(50);
    dsp.ignores_exit = true;
    start(PdKind::sensors);
    until(PdState::running);
    const Result<Frame> counters = control->ask(static_cast<std::uint16_t>(ControlOp::query));
    ASSERT_TRUE(counters);
    EXPECT_EQ(decode<Counters>(counters->payload)->in_flight, 1U);
    order_stop();
    EXPECT_EQ(goodbye().lost_contexts, 1U); // the listener's
    dsp.die({-1, EPIPE});
}

TEST_F(NodesOfSessions, a_removed_accel_node_ends_the_session_and_its_sleeping_calls) {
    dsp.facts = accel_facts();
    dsp.node = machine.dev("accel/accel0");
    machine.add_accel(0, "cdsp");
    EXPECT_EQ(start_ready().backend, "accel");
    EXPECT_EQ(watchers, 1);
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(5, 0, 0)).payload());
    dsp.wait_for_hanging(1);
    machine.remove_accel(0);
    const Error error = lost();
    EXPECT_EQ(error.kind, ErrorKind::lost);
    EXPECT_NE(error.text.find("restarted or went away"), std::string::npos) << error.text;
    const Result<Frame> answer = lane.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(read_as<InvokeReply>(answer->payload).os_error, ENODEV);
    EXPECT_EQ(bye().lost_contexts, 0U);
}

TEST_F(NodesOfSessions, nodes_are_not_watched_where_the_driver_wakes_its_callers) {
    // The end of a watcher waits for the kernel: at its start a session has no time for that.
    start_ready();
    EXPECT_EQ(watchers, 0);
}

TEST_F(NodesOfSessions, an_accel_node_that_went_before_it_was_watched_starts_no_pd) {
    dsp.facts = accel_facts();
    dsp.node = machine.dev("accel/accel0"); // opened, and gone since
    start();
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame);
    const auto failed = decode<FailedMessage>(frame->payload);
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->kind, ErrorKind::offline);
    EXPECT_NE(failed->text.find("the DSP restarts"), std::string::npos) << failed->text;
    EXPECT_TRUE(dsp.init.empty());
}

TEST_F(NodesOfSessions, a_session_that_dies_inside_the_dsp_says_how_many_contexts_it_takes_along) {
    environment.end_limit = std::chrono::milliseconds(50);
    dsp.ignores_exit = true;
    const Description ready = start_ready();
    EXPECT_EQ(ready.profile, "a fake");
    auto [lane, module] = open_calling();
    EXPECT_EQ(usage().in_flight, 0U); // of the client's own
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(5, 0, 0)).payload());
    dsp.wait_for_hanging(1);
    const Result<Frame> reply = control->ask(static_cast<std::uint16_t>(ControlOp::query));
    ASSERT_TRUE(reply);
    EXPECT_EQ(decode<Counters>(reply->payload)->in_flight, 2U); // the call and the listener
    session->close();
    EXPECT_EQ(bye().lost_contexts, 2U);
    join();
    dsp.die({-1, EPIPE});
    EXPECT_TRUE(lane.receive());
}

TEST_F(NodesOfSessions, a_session_that_ends_well_loses_no_context) {
    start_ready();
    session->close();
    const ByeMessage last = bye();
    EXPECT_EQ(last.lost_contexts, 0U);
    EXPECT_EQ(last.counters.in_flight, 0U);
}

TEST_F(NodesOfSessions, an_unsigned_session_gives_up_all_rights_before_it_opens_the_node) {
    start_ready();
    EXPECT_EQ(privileges, std::vector<std::string>{"drop before open"});
}

TEST_F(NodesOfSessions, a_signed_one_keeps_what_its_init_may_need_until_then) {
    message.kind = PdKind::signed_user;
    scratch.file("dsp/cdsp/fastrpc_shell_3", "the shell");
    start_ready();
    EXPECT_EQ(privileges, (std::vector<std::string>{"keep", "drop"}));
}

TEST_F(NodesOfSessions, a_refused_init_tells_what_can_be_done) {
    dsp.init_result = {-1, ECONNREFUSED};
    dsp.advice = "; take another node";
    start();
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame);
    EXPECT_NE(decode<FailedMessage>(frame->payload)->text.find("; take another node"), std::string::npos);
}
