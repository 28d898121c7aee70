// A host and a fastrpcd of different versions: what both speak is spoken, and a session never ends for want of a
// language.
#include "session_harness.hpp"

#include <fmt/core.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint16_t op(ControlOp which) {
    return static_cast<std::uint16_t>(which);
}

class Versions : public SessionHarness {
protected:
    ControlSocket socket{environment.control_path};

    Versions() { environment.program_version = "1.2.3"; }
    /// The host's next description; `control` is its new connection.
    Result<Frame> described() {
        control->close();
        return accepted();
    }
    Result<Frame> accepted() {
        control.emplace(socket.accept());
        auto frame = control->receive();
        if (frame) {
            EXPECT_EQ(frame->header.opcode, op(ControlOp::describe));
        }
        return frame;
    }
    void refuse(const Frame& frame, std::uint16_t own) {
        FrameHeader request = frame.header;
        request.version = own;
        ASSERT_TRUE(send_error(control->fd(), request, {ErrorKind::unsupported, 0, "not spoken here"}));
    }
    void accept(const Frame& frame) {
        FrameHeader reply = frame.header;
        reply.flags = frame_reply;
        ASSERT_TRUE(send_frame(control->fd(), reply));
        control->control_version = frame.header.version;
    }
};

class EachVersion : public Versions, public testing::WithParamInterface<std::uint16_t> {};

} // namespace

TEST_P(EachVersion, a_session_is_served_in_the_version_that_it_was_started_in) {
    control_version = GetParam();
    start();
    const Result<Frame> ready = control->receive();
    ASSERT_TRUE(ready);
    ASSERT_EQ(ready->header.opcode, op(ControlOp::ready));
    EXPECT_EQ(ready->header.version, GetParam());
    const auto description = decode<Description>(ready->payload, GetParam());
    ASSERT_TRUE(description);
    EXPECT_EQ(description->session_id, message.session_id);
    EXPECT_EQ(description->program, GetParam() < 2 ? "" : "1.2.3");
    const Result<Frame> counted = control->ask(op(ControlOp::query));
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->header.version, GetParam());
    EXPECT_TRUE(decode<Counters>(counted->payload, GetParam()));
    session->close();
    if (GetParam() >= control_latency) {
        const Result<Frame> latency = control->receive();
        ASSERT_TRUE(latency);
        EXPECT_EQ(latency->header.opcode, op(ControlOp::latency));
        EXPECT_TRUE(decode<Latency>(latency->payload, GetParam()));
    }
    const Result<Frame> last = control->receive();
    ASSERT_TRUE(last);
    EXPECT_EQ(last->header.opcode, op(ControlOp::bye));
    EXPECT_EQ(last->header.version, GetParam());
    EXPECT_TRUE(decode<ByeMessage>(last->payload, GetParam()));
    EXPECT_EQ(join(), HostExit::ended);
}
INSTANTIATE_TEST_SUITE_P(Spoken, EachVersion, testing::Range<std::uint16_t>(1, control_newest + 1));

TEST_F(Versions, a_start_that_it_does_not_understand_is_refused_with_both_versions) {
    control_version = control_versions.newest + 1;
    start();
    const Result<Frame> answer = control->receive();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->header.opcode, op(ControlOp::failed));
    EXPECT_EQ(answer->header.version, control_versions.newest);
    const auto failed = decode<FailedMessage>(answer->payload);
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->kind, ErrorKind::unsupported);
    EXPECT_NE(failed->text.find(fmt::format("speaks version {}", control_version)), std::string::npos) << failed->text;
    EXPECT_NE(failed->text.find(fmt::format("to {}", control_versions.newest)), std::string::npos) << failed->text;
    EXPECT_EQ(join(), HostExit::protocol);
}

TEST_F(Versions, it_goes_down_to_the_version_that_an_older_fastrpcd_speaks_and_up_again_for_the_next) {
    start_ready();
    const auto [lane, module] = open_calling();
    auto offered = described();
    for (std::uint16_t version = control_versions.newest; version > control_versions.oldest; --version) {
        ASSERT_TRUE(offered);
        EXPECT_EQ(offered->header.version, version);
        EXPECT_TRUE(decode<Description>(offered->payload, version));
        refuse(*offered, control_versions.oldest);
        offered = accepted();
    }
    ASSERT_TRUE(offered);
    EXPECT_EQ(offered->header.version, control_versions.oldest);
    EXPECT_TRUE(decode<Description>(offered->payload, control_versions.oldest));
    accept(*offered);
    const Result<Frame> counted = control->ask(op(ControlOp::query));
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->header.version, control_versions.oldest);
    const auto next = described();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->header.version, control_versions.newest);
}

TEST_F(Versions, one_that_nobody_understands_serves_on) {
    start_ready();
    auto [lane, module] = open_calling();
    auto offered = described();
    for (std::uint16_t version = control_versions.newest; version > control_versions.oldest; --version) {
        ASSERT_TRUE(offered);
        refuse(*offered, control_versions.newest + 1);
        offered = accepted();
    }
    ASSERT_TRUE(offered);
    refuse(*offered, control_versions.newest + 1);
    EXPECT_TRUE(control->closed());
    EXPECT_EQ(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0)))->reply.result, 0);
    EXPECT_EQ(usage().calls, 1U);
    session->close();
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(Versions, a_fastrpcd_that_changes_the_version_midway_loses_the_connection_alone) {
    start_ready();
    control->control_version = control_versions.oldest;
    control->send(op(ControlOp::query));
    EXPECT_TRUE(control->closed());
    const auto next = accepted();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->header.version, control_versions.newest);
    EXPECT_EQ(usage().calls, 0U);
}
