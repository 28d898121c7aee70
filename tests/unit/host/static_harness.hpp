// A static PD's host in a thread of the test, with the test as its fastrpcd, its DSP and its machine's nodes.
#pragma once

#include "session_harness.hpp"

#include <atomic>
#include <deque>
#include <mutex>

namespace fastrpc::daemon {

class StaticHarness : public testing::Test {
protected:
    StaticHarness() {
        environment.open_device = [this](Domain, PdKind, bool) -> Result<std::unique_ptr<Device>> {
            ++opens;
            if (refusal) return std::unexpected(*refusal);
            if (away) return fail(ErrorKind::offline, "no node for adsp", ENOENT);
            dsp.revive();
            return dsp.open();
        };
        environment.open_heap = []() -> Result<std::unique_ptr<Heap>> { return std::make_unique<FakeHeap>(); };
        environment.keep_init_privilege = [this]() -> Result<bool> { return has_privilege; };
        environment.drop_privileges = [this]() -> Status {
            ++drops;
            return {};
        };
        environment.watch_nodes = [this] {
            return discovery::Watcher::open(machine.roots(), discovery::Watcher::Means::inotify);
        };
        environment.enter_sandbox = [this](bool may_open, const std::vector<unsigned long>&) -> Status {
            EXPECT_TRUE(may_open);
            ++sandboxes;
            return {};
        };
        environment.control_path = scratch.path("control.sock");
        socket.emplace(environment.control_path);
    }
    ~StaticHarness() override { stop(); }

    void start(PdKind kind, Domain domain = Domain::adsp) {
        host_ = std::thread([this, kind, domain] { exit_ = run_static(domain, kind, environment); });
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
        if (!early.empty()) {
            const Description description = early.front();
            early.pop_front();
            return description;
        }
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
    /// The status and text of the answer to a command; it comes before or after the states that it causes.
    Error command(PdAction action, const std::string& by = "uid 0 (root)") {
        control->send(static_cast<std::uint16_t>(ControlOp::command), encode(PdCommand{action, by}));
        for (;;) {
            const Result<Frame> frame = control->receive();
            EXPECT_TRUE(frame) << frame.error().text;
            if (!frame) return frame.error();
            if (frame->header.opcode == static_cast<std::uint16_t>(ControlOp::command))
                return frame->header.status == 0 ? Error{ErrorKind::none, 0, {}} : error_of(*frame);
            early.push_back(decode<Description>(frame->payload).value_or(Description{}));
        }
    }
    Counters usage() {
        const Result<Frame> reply = control->ask(static_cast<std::uint16_t>(ControlOp::query));
        EXPECT_TRUE(reply) << reply.error().text;
        return reply ? decode<Counters>(reply->payload).value_or(Counters{}) : Counters{};
    }
    /// fastrpcd's word to end.
    void order_stop() {
        control->send(static_cast<std::uint16_t>(ControlOp::terminate),
                      encode(TerminateMessage{LostReason::terminated, "done"}));
    }
    /// Reads up to the goodbye and waits for the host's end.
    ByeMessage goodbye() {
        ByeMessage last;
        while (control) {
            const Result<Frame> frame = control->receive();
            if (!frame) break;
            if (frame->header.opcode == static_cast<std::uint16_t>(ControlOp::bye))
                last = decode<ByeMessage>(frame->payload).value_or(ByeMessage{});
        }
        host_.join();
        return last;
    }
    /// Both; gives the reason of the goodbye.
    std::string stop() {
        if (!host_.joinable()) return {};
        if (control) order_stop();
        return goodbye().reason;
    }

    FakeDsp dsp;
    std::deque<Description> early; ///< transitions that came before the answer to a command
    std::atomic<bool> away = false;
    std::optional<Error> refusal; ///< of opening; written while the host waits
    std::atomic<int> opens = 0;
    bool has_privilege = false;
    std::atomic<int> drops = 0;
    discovery::test::FakeMachine machine;
    int sandboxes = 0;
    test::Scratch scratch;
    HostEnvironment environment;
    std::optional<ControlSocket> socket;
    std::optional<Peer> control;
    HostExit exit_ = HostExit::protocol;
    std::thread host_;
};

} // namespace fastrpc::daemon
