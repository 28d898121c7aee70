// A static PD's host: comes up, comes back, says why not.
#include "ipc/aee.hpp"
#include "static_harness.hpp"

#include <csignal>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

using StaticPd = StaticHarness;

} // namespace

TEST_F(StaticPd, attaches_serves_and_registers_for_stray_reverse_calls) {
    start(PdKind::root);
    EXPECT_EQ(next().state, PdState::attaching);
    const Description running = next();
    EXPECT_EQ(running.state, PdState::running);
    EXPECT_EQ(running.kind, PdKind::root);
    EXPECT_EQ(running.session_id, 0U);
    EXPECT_EQ(running.generation, 1U);
    EXPECT_EQ(running.node, "/dev/fastrpc-fake");
    EXPECT_EQ(running.backend, "misc");
    EXPECT_EQ(running.profile, "a fake");
    EXPECT_EQ(running.capabilities, unknown_capabilities());
    EXPECT_EQ(dsp.init, "root");
    EXPECT_EQ(dsp.registrations, 1);
    EXPECT_NE(stop().find("done"), std::string::npos);
    EXPECT_EQ(exit_, HostExit::ended);
    EXPECT_EQ(dsp.exits, 1);
    EXPECT_EQ(dsp.devices, 0);
    EXPECT_EQ(sandboxes, 1);
}

TEST_F(StaticPd, each_kind_has_its_own_init) {
    start(PdKind::audio);
    until(PdState::running);
    EXPECT_EQ(dsp.init, "static audiopd 3145728");
    stop();
    start(PdKind::sensors);
    until(PdState::running);
    EXPECT_EQ(dsp.init, "sensors");
}

TEST_F(StaticPd, comes_back_after_a_dsp_restart_as_a_new_generation) {
    start(PdKind::root);
    until(PdState::running);
    dsp.die({-1, EPIPE});
    const Description restarting = next();
    EXPECT_EQ(restarting.state, PdState::restarting);
    EXPECT_EQ(next().state, PdState::attaching);
    const Description running = next();
    EXPECT_EQ(running.state, PdState::running);
    EXPECT_EQ(running.generation, 2U);
    EXPECT_EQ(running.restarts, 1U);
    stop();
    EXPECT_EQ(dsp.devices, 0);
    EXPECT_EQ(sandboxes, 1);
}

TEST_F(StaticPd, waits_for_a_node_that_is_away) {
    away = true;
    start(PdKind::root);
    EXPECT_EQ(next().state, PdState::attaching);
    const Description waiting = next();
    EXPECT_EQ(waiting.state, PdState::waiting);
    EXPECT_EQ(waiting.reason, "no node for adsp");
    away = false;
    machine.add_node("fastrpc-adsp-secure");
    EXPECT_EQ(until(PdState::running).generation, 1U);
}

TEST_F(StaticPd, a_refused_attach_is_tried_again) {
    dsp.init_result = {-1, ETIMEDOUT};
    start(PdKind::root);
    const Description restarting = until(PdState::restarting);
    EXPECT_NE(restarting.reason.find("ETIMEDOUT"), std::string::npos) << restarting.reason;
    EXPECT_EQ(until(PdState::attaching).generation, 0U);
}

TEST_F(StaticPd, trouble_is_told_once_in_the_log_until_it_is_over) {
    testing::internal::CaptureStdout(); // where the log goes before log::open()
    dsp.init_result = {-1, ETIMEDOUT};
    start(PdKind::root);
    for (int i = 0; i < 3; ++i) {
        until(PdState::restarting);
        until(PdState::attaching);
    }
    stop();
    const std::string log = testing::internal::GetCapturedStdout();
    const std::size_t first = log.find("the root PD of adsp does not start, and is tried again: ");
    EXPECT_NE(first, log.npos) << log;
    EXPECT_EQ(log.find("does not start"), log.rfind("does not start")) << log;
}

TEST_F(StaticPd, one_that_a_definition_does_not_want_is_not_hosted) {
    environment.definition_directories = {scratch.directory("pd.d").string()};
    environment.roots = machine.roots();
    scratch.file("pd.d/a.json", R"({"domain": "adsp", "pd": "audio", "enabled": false})");
    scratch.file("pd.d/b.json", R"({"domain": "adsp", "pd": "sensors", "unless": "sdsp"})");
    EXPECT_EQ(run_static(Domain::adsp, PdKind::audio, environment), HostExit::not_wanted);
    machine.add_node("fastrpc-sdsp");
    EXPECT_EQ(run_static(Domain::adsp, PdKind::sensors, environment), HostExit::not_wanted);
    EXPECT_EQ(opens, 0) << "no hardware session was taken";
    machine.remove_node("fastrpc-sdsp");
    start(PdKind::sensors);
    until(PdState::running);
    stop();
    scratch.file("pd.d/c.json", "{");
    EXPECT_EQ(run_static(Domain::adsp, PdKind::root, environment), HostExit::misconfigured);
}

TEST_F(StaticPd, an_audio_pd_without_reserved_memory_fails_for_good) {
    dsp.init_result = {-1, ENOMEM};
    start(PdKind::audio);
    const Description failed = until(PdState::failed);
    EXPECT_NE(failed.reason.find("remote heap"), std::string::npos) << failed.reason;
    const Result<Frame> counters = control->ask(static_cast<std::uint16_t>(ControlOp::query)); // and still answers
    EXPECT_TRUE(counters);
    stop();
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(StaticPd, survives_fastrpcd) {
    start(PdKind::root);
    until(PdState::running);
    control->close();
    control.emplace(socket->accept());
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::describe));
    EXPECT_EQ(decode<Description>(frame->payload)->state, PdState::running);
    EXPECT_EQ(dsp.devices, 1);
}

TEST_F(StaticPd, sigterm_ends_it) {
    start(PdKind::root);
    until(PdState::running);
    ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
    host_.join();
    EXPECT_EQ(exit_, HostExit::ended);
    EXPECT_EQ(dsp.devices, 0);
}
