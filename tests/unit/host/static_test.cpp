// A static PD's host: comes up, comes back, says why not.
#include "ipc/aee.hpp"
#include "session_harness.hpp"

#include <atomic>
#include <csignal>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

class StaticPd : public testing::Test {
protected:
    StaticPd() {
        environment.open_device = [this](Domain, PdKind) -> Result<std::unique_ptr<Device>> {
            if (away) return fail(ErrorKind::offline, "no node for adsp", ENOENT);
            dsp.revive();
            return dsp.open();
        };
        environment.keep_init_privilege = [this]() -> Result<bool> { return has_privilege; };
        environment.drop_privileges = [this]() -> Status {
            ++drops;
            return {};
        };
        environment.watch_nodes = [this] {
            return discovery::Watcher::open(machine.roots(), discovery::Watcher::Means::inotify);
        };
        environment.enter_sandbox = [this](bool may_open) -> Status {
            EXPECT_TRUE(may_open);
            ++sandboxes;
            return {};
        };
        environment.control_path = scratch.path("control.sock");
        socket.emplace(environment.control_path);
    }
    ~StaticPd() override { stop(); }

    void start(PdKind kind) {
        host_ = std::thread([this, kind] { exit_ = run_static(Domain::adsp, kind, environment); });
        control.emplace(socket->accept());
        const Result<Frame> frame = control->receive();
        ASSERT_TRUE(frame) << frame.error().text;
        EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::describe));
        EXPECT_EQ(decode<Description>(frame->payload)->state, PdState::waiting);
        FrameHeader reply = frame->header;
        reply.flags = frame_reply;
        ASSERT_TRUE(send_frame(control->fd(), reply));
    }
    /// The next transition.
    Description next() {
        const Result<Frame> frame = control->receive();
        EXPECT_TRUE(frame) << frame.error().text;
        if (!frame) return {};
        EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::state));
        const Description description = decode<Description>(frame->payload).value_or(Description{});
        EXPECT_FALSE(description.reason.empty());
        return description;
    }
    Description until(PdState state) {
        for (;;) {
            Description description = next();
            if (description.state == state || testing::Test::HasFailure()) return description;
        }
    }
    /// By fastrpcd's word; gives the reason of the goodbye.
    std::string stop() {
        if (!host_.joinable()) return {};
        const std::string_view why = "done";
        if (control) control->send(static_cast<std::uint16_t>(ControlOp::terminate), std::as_bytes(std::span(why)));
        std::string reason;
        while (control) {
            const Result<Frame> frame = control->receive();
            if (!frame) break;
            if (frame->header.opcode == static_cast<std::uint16_t>(ControlOp::bye))
                reason = decode<ByeMessage>(frame->payload)->reason;
        }
        host_.join();
        return reason;
    }

    FakeDsp dsp;
    std::atomic<bool> away = false;
    bool has_privilege = false;
    std::atomic<int> drops = 0;
    discovery::test::FakeMachine machine;
    int sandboxes = 0;
    Scratch scratch;
    HostEnvironment environment;
    std::optional<ControlSocket> socket;
    std::optional<Peer> control;
    HostExit exit_ = HostExit::protocol;
    std::thread host_;
};

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
