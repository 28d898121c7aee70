// What a session tells beside its answers, and asks of its client: events, leaving, reverse calls; and the threads that
// it asks the DSP for.
#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "ipc/pack.hpp"
#include "session_harness.hpp"

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

struct Event {
    EventOp what = EventOp::leave;
    PdStatus status = PdStatus::up;
    std::uint64_t generation = 0;
    std::uint32_t grace_ms = 0;
    std::string text;
};

class Events : public SessionHarness {
protected:
    Peer open_socket(SessionOp what, std::string_view name = {}) {
        const std::string terminated(name);
        const auto payload = std::as_bytes(std::span(terminated.c_str(), name.empty() ? 0 : terminated.size() + 1));
        Result<Frame> reply = session->ask(op(what), payload);
        EXPECT_TRUE(reply) << reply.error().text;
        if (!reply || reply->fds.size() != 1) return Peer(UniqueFd());
        return Peer(std::move(reply->fds.front()));
    }
    static Event next(Peer& events) {
        Event event;
        const Result<Frame> frame = events.receive();
        EXPECT_TRUE(frame) << frame.error().text;
        if (!frame) return event;
        EXPECT_EQ(frame->header.cookie, 0U);
        event.what = static_cast<EventOp>(frame->header.opcode);
        std::size_t size = sizeof(LeaveEvent);
        if (event.what == EventOp::pd_status) {
            const auto body = read_as<PdStatusEvent>(frame->payload);
            event.status = static_cast<PdStatus>(body.status);
            event.generation = body.generation;
            size = sizeof body;
        } else {
            event.grace_ms = read_as<LeaveEvent>(frame->payload).grace_ms;
        }
        const auto text = frame->payload.subspan(size);
        event.text.assign(reinterpret_cast<const char*>(text.data()), text.size());
        return event;
    }
    Peer listening() {
        Peer events = open_socket(SessionOp::open_events);
        const Event up = next(events);
        EXPECT_EQ(up.what, EventOp::pd_status);
        EXPECT_EQ(up.status, PdStatus::up);
        EXPECT_EQ(up.generation, 1U);
        return events;
    }
    /// The last event, which says the same as the session socket.
    void expect_end(Peer& events, PdStatus status) {
        const Error error = lost();
        const Event end = next(events);
        EXPECT_EQ(end.status, status);
        EXPECT_EQ(end.generation, 1U);
        EXPECT_EQ(end.text, error.text);
        EXPECT_TRUE(events.closed());
    }
};

} // namespace

TEST_F(Events, a_crash_is_an_exception) {
    start_ready();
    Peer events = listening();
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) {
        dsp.die({aee::on_dsp(aee::bad_state), 0});
        return CallResult{aee::on_dsp(aee::bad_state), 0};
    };
    ASSERT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(4, 0, 0))));
    expect_end(events, PdStatus::exception);
}

TEST_F(Events, an_end_of_the_pd_is_an_exit) {
    start_ready();
    Peer events = listening();
    dsp.die({aee::on_dsp(aee::bad_state), 0});
    expect_end(events, PdStatus::exit);
}

TEST_F(Events, a_restart_of_the_dsp_is_one) {
    start_ready();
    Peer events = listening();
    dsp.die({-1, EPIPE});
    expect_end(events, PdStatus::dsp_restart);
}

TEST_F(Events, what_this_side_ends_was_killed) {
    start_ready();
    Peer events = listening();
    control->send(op(ControlOp::terminate), encode(TerminateMessage{LostReason::terminated, "enough"}));
    expect_end(events, PdStatus::force_kill);
    EXPECT_EQ(why, LostReason::terminated);
}

TEST_F(Events, the_wish_that_it_leaves_reaches_the_client) {
    start_ready();
    Peer events = listening();
    control->send(op(ControlOp::leave), encode(LeaveMessage{1500, "others wait"}));
    const Event leave = next(events);
    EXPECT_EQ(leave.what, EventOp::leave);
    EXPECT_EQ(leave.grace_ms, 1500U);
    EXPECT_EQ(leave.text, "others wait");
    EXPECT_EQ(usage().calls, 0U); // it is a wish
}

TEST_F(Events, a_wish_without_a_listener_is_nobodys_trouble) {
    start_ready();
    control->send(op(ControlOp::leave), encode(LeaveMessage{1500, "others wait"}));
    ASSERT_TRUE(control->ask(op(ControlOp::query)));
    EXPECT_EQ(usage().calls, 0U);
}

TEST_F(Events, one_socket_at_a_time) {
    start_ready();
    Peer first = listening();
    EXPECT_EQ(session->ask(op(SessionOp::open_events)).error().kind, ErrorKind::busy);
    first.close();
    Peer second = listening();
}

TEST_F(Events, a_client_that_does_not_read_loses_events_and_nothing_else) {
    start_ready();
    Peer events = listening();
    for (int i = 0; i < 3000; ++i) // more than any socket holds
        control->send(op(ControlOp::leave), encode(LeaveMessage{1, std::string(200, 'x')}));
    ASSERT_TRUE(control->ask(op(ControlOp::query)));
    int kept = 0;
    session->close();
    while (events.receive()) ++kept;
    EXPECT_GT(kept, 0);
    EXPECT_LT(kept, 3000);
    bye();
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(Events, a_reverse_call_is_the_clients_to_answer) {
    start_ready();
    Peer reverse = open_socket(SessionOp::serve_interface, "com.example.camera");
    std::thread caller([this] {
        const std::uint32_t handle = dsp.handle_of("com.example.camera");
        const auto answer = dsp.ask(handle, 3, {Packer().u32(20).bytes()}, {4});
        EXPECT_EQ(answer.result, 0);
        EXPECT_EQ(answer.reply, Packer().u32(4).u32(0).u32(40).bytes());
    });
    const Result<Frame> request = reverse.receive();
    ASSERT_TRUE(request) << request.error().text;
    EXPECT_EQ(read_as<ReverseCallRequest>(request->payload).method, 3U);
    const auto blob = decode_request(Scalars::make(3, 1, 1), request->payload.subspan(sizeof(ReverseCallRequest)));
    ASSERT_TRUE(blob);
    const std::uint32_t value = Unpacker(blob->inputs[0]).u32();
    FrameHeader header = request->header;
    header.flags = frame_reply;
    const auto answer = Packer().u32(0).u32(0).u32(4).u32(0).u32(2 * value).bytes();
    ASSERT_TRUE(send_frame(reverse.fd(), header, answer));
    caller.join();
}

TEST_F(Events, a_client_that_never_answers_keeps_the_listener_for_its_time_and_the_session_not_at_all) {
    message.grant.limits.deadline_ms = 60'000; // longer than any reverse call may take
    start_ready();
    Peer reverse = open_socket(SessionOp::serve_interface, "cam");
    std::thread caller([this] { dsp.ask(dsp.handle_of("cam"), 3, {}, {}); });
    const Result<Frame> request = reverse.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(read_as<ReverseCallRequest>(request->payload).time_ms, 2000U);
    session->close();
    EXPECT_EQ(bye().lost_contexts, 0U);
    EXPECT_EQ(join(), HostExit::ended);
    EXPECT_EQ(dsp.devices, 0);
    caller.join();
}

TEST_F(Events, an_interface_is_asked_for_properly) {
    start_ready();
    EXPECT_EQ(session->ask(op(SessionOp::serve_interface), std::vector<std::byte>{std::byte{'x'}}).error().kind,
              ErrorKind::invalid);
    const char own[] = "apps_std";
    EXPECT_EQ(session->ask(op(SessionOp::serve_interface), std::as_bytes(std::span(own))).error().kind,
              ErrorKind::denied);
    session->send(op(SessionOp::serve_interface), std::vector<std::byte>(max_interface_name + 1));
    EXPECT_EQ(lost().kind, ErrorKind::protocol);
}

TEST_F(Events, threads_are_as_granted_before_anybody_calls) {
    message.grant.thread_priority = 150;
    message.grant.thread_stack = 65536;
    const Description ready = start_ready();
    EXPECT_EQ(dsp.threads, (std::vector<std::uint32_t>{150, 65536}));
    EXPECT_EQ(ready.reason, "the session was opened");
}

TEST_F(Events, without_a_wish_the_dsp_is_not_asked) {
    start_ready();
    EXPECT_TRUE(dsp.threads.empty());
}

TEST_F(Events, a_dsp_that_refuses_its_threads_serves_all_the_same_and_it_is_said) {
    message.grant.thread_priority = 150;
    dsp.threads_set = {aee::on_dsp(aee::unsupported), 0};
    const Description ready = start_ready();
    EXPECT_EQ(dsp.threads, (std::vector<std::uint32_t>{150, 16384}));
    EXPECT_NE(ready.reason.find("not 150"), std::string::npos) << ready.reason;
    EXPECT_NE(ready.reason.find("AEE_EUNSUPPORTED"), std::string::npos) << ready.reason;
    auto [lane, module] = open_calling();
    EXPECT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
}
