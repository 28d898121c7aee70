// Idle sessions: only those that a rule marks, the longest idle first, no more than are waited for, and never one that
// has made a call since.
#include "broker/reclaimer.hpp"
#include "tests/unit/broker/registry_fixture.hpp"

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class ReclaimerTest : public RegistryTest {
protected:
    std::unique_ptr<Reclaimer> reclaimer = std::make_unique<Reclaimer>(loop, registry, 50ms);

    FakeHost session(std::uint64_t id, std::uint32_t reclaim_idle_ms) {
        Description about = session_of(id, 1000);
        about.grant.limits.reclaim_idle_ms = reclaim_idle_ms;
        auto host = adopted(about);
        EXPECT_TRUE(host);
        return std::move(*host);
    }
    /// The next thing that a host is told within 10 s.
    std::optional<ControlOp> told(FakeHost& host) {
        if (!loop.until([&] { return readable(host.socket.get(), 0); })) return std::nullopt;
        const auto frame = host.receive();
        if (!frame) return std::nullopt;
        if (frame->header.opcode == static_cast<std::uint16_t>(ControlOp::leave)) {
            const auto message = decode<LeaveMessage>(frame->payload);
            if (message) leave = *message;
        }
        if (frame->header.opcode == static_cast<std::uint16_t>(ControlOp::terminate)) {
            const auto message = decode<TerminateMessage>(frame->payload);
            if (message) terminate = *message;
        }
        return static_cast<ControlOp>(frame->header.opcode);
    }
    bool answer(FakeHost& host, const Counters& counters) {
        return loop.until([&] { return readable(host.socket.get(), 0); }) && host.answer_query(counters);
    }
    static bool quiet(const FakeHost& host) { return !readable(host.socket.get(), 0); }
    LeaveMessage leave;
    TerminateMessage terminate;
};

} // namespace

TEST_F(ReclaimerTest, an_idle_session_is_asked_to_leave_and_then_ended_with_the_reason) {
    FakeHost host = session(42, 100);
    reclaimer->want(Domain::cdsp, 1);
    ASSERT_TRUE(answer(host, {.calls = 5, .idle_ms = 100}));
    ASSERT_EQ(told(host), ControlOp::leave);
    EXPECT_EQ(leave.grace_ms, 50U);
    EXPECT_NE(leave.text.find("others wait"), std::string::npos) << leave.text;
    EXPECT_EQ(reclaimer->leaving(Domain::cdsp), 1U);
    ASSERT_TRUE(answer(host, {.calls = 5, .idle_ms = 160}));
    ASSERT_EQ(told(host), ControlOp::terminate);
    EXPECT_EQ(terminate.reason, LostReason::reclaimed);
    EXPECT_NE(terminate.text.find("reclaimed"), std::string::npos) << terminate.text;
    host.bye("told to end");
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_TRUE(std::ranges::any_of(seen.events, [](const auto& e) { return e.starts_with("lost: reclaimed"); }));
    EXPECT_EQ(reclaimer->leaving(Domain::cdsp), 0U);
}

TEST_F(ReclaimerTest, a_session_that_calls_again_in_its_grace_stays) {
    FakeHost host = session(42, 100);
    reclaimer->want(Domain::cdsp, 1);
    ASSERT_TRUE(answer(host, {.calls = 5, .idle_ms = 500}));
    ASSERT_EQ(told(host), ControlOp::leave);
    ASSERT_TRUE(answer(host, {.calls = 6, .idle_ms = 500}));
    ASSERT_TRUE(loop.until([&] { return reclaimer->leaving(Domain::cdsp) == 0; }));
    EXPECT_TRUE(quiet(host));
    EXPECT_EQ(registry.sessions().begin()->second.state(), "ready");
}

TEST_F(ReclaimerTest, a_session_that_leaves_by_itself_is_not_ended) {
    FakeHost host = session(42, 100);
    reclaimer->want(Domain::cdsp, 1);
    ASSERT_TRUE(answer(host, {.idle_ms = 500}));
    ASSERT_EQ(told(host), ControlOp::leave);
    host.bye("the client closed the session");
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_TRUE(seen.saw("lost: the client closed the session"));
    EXPECT_EQ(reclaimer->leaving(Domain::cdsp), 0U);
    const auto end = std::chrono::steady_clock::now() + 100ms;
    EXPECT_TRUE(loop.until([&] { return std::chrono::steady_clock::now() > end; })) << "its grace ends in peace";
}

TEST_F(ReclaimerTest, the_longest_idle_go_first_and_no_more_than_are_wanted) {
    FakeHost young = session(1, 100), old = session(2, 100), older = session(3, 100);
    reclaimer->want(Domain::cdsp, 2);
    ASSERT_TRUE(answer(young, {.idle_ms = 200}));
    ASSERT_TRUE(answer(old, {.idle_ms = 3000}));
    ASSERT_TRUE(answer(older, {.idle_ms = 4000}));
    EXPECT_EQ(told(older), ControlOp::leave);
    EXPECT_EQ(told(old), ControlOp::leave);
    EXPECT_EQ(reclaimer->leaving(Domain::cdsp), 2U);
    EXPECT_TRUE(quiet(young));
    reclaimer->want(Domain::cdsp, 2);
    loop.settle();
    EXPECT_TRUE(quiet(young)) << "the two that leave are enough";
}

TEST_F(ReclaimerTest, busy_and_unmarked_sessions_and_those_of_other_domains_are_left_alone) {
    FakeHost unmarked = session(1, 0), busy = session(2, 100), recent = session(3, 5000);
    reclaimer->want(Domain::adsp, 5);
    EXPECT_TRUE(quiet(busy));
    reclaimer->want(Domain::cdsp, 5);
    EXPECT_TRUE(quiet(unmarked)) << "it is not even asked";
    ASSERT_TRUE(answer(busy, {.in_flight = 2, .idle_ms = 0}));
    ASSERT_TRUE(answer(recent, {.idle_ms = 4999}));
    loop.settle();
    EXPECT_EQ(reclaimer->leaving(Domain::cdsp), 0U);
    EXPECT_TRUE(quiet(busy) && quiet(recent));
}

TEST_F(ReclaimerTest, a_host_that_does_not_answer_is_no_candidate_and_delays_nobody_for_good) {
    const FakeHost silent = session(1, 100);
    FakeHost idle = session(2, 100);
    reclaimer->want(Domain::cdsp, 2);
    ASSERT_TRUE(answer(idle, {.idle_ms = 500}));
    EXPECT_EQ(told(idle), ControlOp::leave);
    EXPECT_EQ(reclaimer->leaving(Domain::cdsp), 1U);
}

TEST_F(ReclaimerTest, hosts_may_answer_after_its_end) {
    FakeHost host = session(1, 100);
    reclaimer->want(Domain::cdsp, 1);
    reclaimer.reset();
    ASSERT_TRUE(answer(host, {.idle_ms = 500}));
    loop.settle();
    EXPECT_TRUE(quiet(host));
}
