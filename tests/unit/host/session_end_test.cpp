// How a session ends, and what does not end it: its client, fastrpcd, the PD, the DSP, a deadline, a signal.
#include "ipc/aee.hpp"
#include "session_harness.hpp"

#include <csignal>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

using EndOfSession = SessionHarness;

} // namespace

TEST_F(EndOfSession, malformed_requests_end_the_session_alone) {
    start_ready();
    session->send(op(SessionOp::allocate_buffer), std::vector<std::byte>(5));
    const Error error = lost();
    EXPECT_EQ(error.kind, ErrorKind::protocol);
    EXPECT_EQ(why, LostReason::protocol);
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(EndOfSession, surplus_fds_end_the_session) {
    start_ready();
    const int fd = STDIN_FILENO;
    session->send(op(SessionOp::usage), {}, std::span(&fd, 1));
    EXPECT_EQ(lost().kind, ErrorKind::protocol);
}

TEST_F(EndOfSession, ends_when_the_client_closes_it_and_leaves_nothing_behind) {
    start_ready();
    auto calling = open_calling();
    allocate(4096);
    session->close();
    const ByeMessage message_bye = bye();
    EXPECT_NE(message_bye.reason.find("client"), std::string::npos) << message_bye.reason;
    EXPECT_EQ(join(), HostExit::ended);
    EXPECT_EQ(dsp.exits, 1);
    EXPECT_EQ(dsp.devices, 0);
    EXPECT_TRUE(calling.lane.closed());
}

TEST_F(EndOfSession, a_call_in_flight_is_answered_when_the_session_ends) {
    start_ready();
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(2, 0, 0)).payload());
    dsp.wait_for_hanging(1);
    session->close();
    const Result<Frame> answer = lane.receive();
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(read_as<InvokeReply>(answer->payload).result, aee::on_dsp(aee::bad_state));
    bye();
}

TEST_F(EndOfSession, a_crash_of_the_pd_names_the_method_and_its_caller_gets_the_code) {
    start_ready();
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) {
        dsp.die({aee::on_dsp(aee::bad_state), 0});
        return CallResult{aee::on_dsp(aee::bad_state), 0};
    };
    const auto answer = lane.invoke(InvokeBuilder(module, Scalars::make(4, 0, 0)));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->reply.result, aee::on_dsp(aee::bad_state));
    const Error error = lost();
    EXPECT_EQ(error.kind, ErrorKind::lost);
    EXPECT_EQ(error.text, "the PD crashed while running method 4 of libtest_skel.so (0x8000040D)");
    EXPECT_EQ(why, LostReason::pd_exception);
    EXPECT_EQ(bye().reason, error.text);
    join();
    EXPECT_EQ(dsp.exits, 0); // a dead PD needs no order to end
}

TEST_F(EndOfSession, a_crash_is_blamed_on_the_call_in_flight_before_it_returns) {
    start_ready();
    auto [lane, module] = open_calling();
    auto [idle, other] = open_calling("file:///libidle_skel.so?x");
    ASSERT_TRUE(idle.invoke(InvokeBuilder(other, Scalars::make(9, 0, 0))));
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(7, 0, 0)).payload());
    dsp.wait_for_hanging(1);
    dsp.die({aee::no_such, 0});
    EXPECT_NE(lost().text.find("method 7 of libtest_skel.so"), std::string::npos);
    EXPECT_TRUE(lane.receive());
}

TEST_F(EndOfSession, a_pd_that_ends_without_a_call_is_not_blamed_on_one) {
    start_ready();
    auto [lane, module] = open_calling();
    ASSERT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(4, 0, 0))));
    dsp.die({aee::on_dsp(aee::bad_state), 0});
    const Error error = lost();
    EXPECT_EQ(error.text.find("libtest_skel.so"), std::string::npos) << error.text;
    EXPECT_NE(error.text.find("ended by itself"), std::string::npos) << error.text;
    EXPECT_EQ(why, LostReason::pd_exit);
}

TEST_F(EndOfSession, a_dsp_restart_is_told_as_such) {
    start_ready();
    dsp.die({-1, EPIPE});
    const Error error = lost();
    EXPECT_EQ(error.kind, ErrorKind::lost);
    EXPECT_NE(error.text.find("restarted"), std::string::npos) << error.text;
    EXPECT_EQ(why, LostReason::dsp_restart);
}

TEST_F(EndOfSession, a_call_beyond_its_own_deadline_ends_the_session) {
    start_ready();
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(5, 0, 0)).deadline(20).payload());
    const Error error = lost();
    EXPECT_EQ(error.kind, ErrorKind::timeout);
    EXPECT_EQ(error.text, "running method 5 of libtest_skel.so took longer than its deadline of 20 ms");
    EXPECT_EQ(why, LostReason::timeout);
    EXPECT_EQ(bye().reason, error.text);
}

TEST_F(EndOfSession, the_grants_deadline_bounds_every_call) {
    message.grant.limits.deadline_ms = 30;
    start_ready();
    auto [lane, module] = open_calling();
    ASSERT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0)))); // a quick one passes
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(5, 0, 0)).deadline(60'000).payload());
    EXPECT_NE(lost().text.find("deadline of 30 ms"), std::string::npos);
}

TEST_F(EndOfSession, a_dsp_that_never_answers_does_not_keep_the_host) {
    environment.end_limit = std::chrono::milliseconds(50);
    dsp.ignores_exit = true;
    start_ready();
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(5, 0, 0)).payload());
    dsp.wait_for_hanging(1);
    session->close();
    bye();
    EXPECT_EQ(join(), HostExit::ended);
    dsp.die({-1, EPIPE}); // lets the threads that were left behind end
    EXPECT_TRUE(lane.receive());
    EXPECT_TRUE(lane.closed());
}

TEST_F(EndOfSession, fastrpcd_may_query_and_terminate) {
    start_ready();
    auto [lane, module] = open_calling();
    ASSERT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
    const Result<Frame> reply = control->ask(op(ControlOp::query));
    ASSERT_TRUE(reply);
    EXPECT_EQ(decode<Counters>(reply->payload)->calls, 1U);
    control->send(op(ControlOp::terminate), encode(TerminateMessage{LostReason::reclaimed, "the admin said so"}));
    EXPECT_NE(lost().text.find("the admin said so"), std::string::npos);
    EXPECT_EQ(why, LostReason::reclaimed);
    EXPECT_EQ(bye().counters.calls, 1U);
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(EndOfSession, sigterm_ends_it_with_a_word_to_everyone) {
    start_ready();
    ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
    EXPECT_NE(lost().text.find("told to stop"), std::string::npos);
    EXPECT_EQ(why, LostReason::host_stopped);
    bye();
    EXPECT_EQ(join(), HostExit::ended);
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(EndOfSession, survives_fastrpcd_and_describes_itself_to_the_next_one) {
    ControlSocket socket(environment.control_path);
    const Description ready = start_ready();
    auto [lane, module] = open_calling();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(2, 0, 0)).payload());
    dsp.wait_for_hanging(1);

    for (int restart = 0; restart < 2; ++restart) {
        control->close();
        control.emplace(socket.accept());
        const Result<Frame> frame = control->receive();
        ASSERT_TRUE(frame) << frame.error().text;
        EXPECT_EQ(frame->header.opcode, op(ControlOp::describe));
        EXPECT_EQ(*decode<Description>(frame->payload), ready);
        FrameHeader reply = frame->header;
        reply.flags = frame_reply;
        ASSERT_TRUE(send_frame(control->fd(), reply));
        EXPECT_TRUE(control->ask(op(ControlOp::query)));
    }
    dsp.release(); // the call in flight did not notice
    const Result<Frame> answer = lane.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(read_as<InvokeReply>(answer->payload).result, 0);
}

TEST_F(EndOfSession, ends_when_the_next_fastrpcd_does_not_accept_it) {
    ControlSocket socket(environment.control_path);
    start_ready();
    control->close();
    control.emplace(socket.accept());
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame);
    ASSERT_TRUE(send_error(control->fd(), frame->header, {ErrorKind::denied, 0, "unknown uid"}));
    EXPECT_NE(lost().text.find("unknown uid"), std::string::npos);
    EXPECT_EQ(why, LostReason::policy_changed);
    bye();
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(EndOfSession, garbage_from_fastrpcd_costs_the_connection_alone) {
    ControlSocket socket(environment.control_path);
    start_ready();
    ASSERT_EQ(::write(control->fd(), "garbage", 7), 7);
    control.emplace(socket.accept());
    EXPECT_EQ(control->receive()->header.opcode, op(ControlOp::describe));
    EXPECT_EQ(usage().calls, 0U);
}
