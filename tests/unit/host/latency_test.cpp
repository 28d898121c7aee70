// What a host tells fastrpcd of how long calls took, which outlives the session there.
#include "session_harness.hpp"

#include <numeric>

using namespace fastrpc;
using namespace fastrpc::daemon;

using Session = SessionHarness;

TEST_F(Session, tells_how_long_calls_took_when_asked_and_before_its_bye) {
    start_ready();
    {
        auto [lane, module] = open_calling();
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
        const auto asked = control->ask(op(ControlOp::latency));
        ASSERT_TRUE(asked) << asked.error().text;
        const auto latency = decode<Latency>(asked->payload);
        ASSERT_TRUE(latency);
        EXPECT_EQ(std::accumulate(latency->calls.begin(), latency->calls.end(), std::uint64_t{0}), 3U);
        EXPECT_GT(latency->sum_ns, 0U);
    }
    session->close();
    bye();
    ASSERT_TRUE(last_latency);
    EXPECT_EQ(std::accumulate(last_latency->calls.begin(), last_latency->calls.end(), std::uint64_t{0}), 3U)
        << "of lanes that are gone, too";
}

TEST_F(Session, says_nothing_of_latency_to_a_fastrpcd_of_before) {
    control_version = control_latency - 1;
    start_ready();
    session->close();
    bye();
    EXPECT_FALSE(last_latency);
}
