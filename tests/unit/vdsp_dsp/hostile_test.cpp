// A PD that breaks the protocol ends, and with it its own calls and nothing else.
#include "host_side.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
constexpr std::uint32_t any_handle = 20, nop = 0x06010000;

class Hostile : public DspTest, public ::testing::WithParamInterface<const char*> {
protected:
    ~Hostile() override { ::unsetenv("VDSP_HOSTILE"); }
    void start_hostile(const char* how) {
        ::setenv("VDSP_HOSTILE", how, 1);
        DspConfig config;
        config.pd_program = HOSTILE_PD;
        start(config);
        ASSERT_EQ(create(3), 0);
    }
    Sent call() { return send(3, 1, 90, any_handle, nop, {input(bytes_of_value(0U))}); }
    void expect_the_pd_ended() {
        run_until([&] { return json::parse(status())["crashes"] == 1; });
        EXPECT_EQ(finish(call()), aee::no_such);
        EXPECT_EQ(release(3), 0);
        EXPECT_EQ(attach(4), 0) << "the DSP lives";
    }
};

TEST_P(Hostile, ends_when_nobody_waits_for_its_answer) {
    start_hostile(GetParam());
    EXPECT_EQ(finish(call()), aee::on_dsp(aee::bad_state));
    expect_the_pd_ended();
}

TEST_P(Hostile, ends_when_a_caller_waits_for_its_answer) {
    start_hostile(GetParam());
    const auto [sent, request] = prepare(3, 1, 90, any_handle, nop, {input(bytes_of_value(0U))});
    // No disturbance: the machine's answer comes on another thread, so this one comes back by its deadline.
    dsp->converse(request, {}, std::chrono::steady_clock::now() + 50ms,
                  [&, id = sent.context] { return machine.answer(id).has_value(); });
    EXPECT_EQ(finish(sent), aee::on_dsp(aee::bad_state));
    expect_the_pd_ended();
}

INSTANTIATE_TEST_SUITE_P(Ways, Hostile,
                         ::testing::Values("short", "long", "other context", "shut", "garbage on the main socket",
                                           "unknown message", "flood"),
                         [](const auto& way) {
                             std::string name = way.param;
                             for (char& c : name)
                                 if (c == ' ') c = '_';
                             return name;
                         });

using Unasked = Hostile;
TEST_F(Unasked, an_answer_to_no_call_never_answers_the_next) {
    start_hostile("twice");
    EXPECT_EQ(finish(call()), 0);
    EXPECT_NE(finish(call()), 0) << "it is in the PD when the surplus answer is seen, or comes after that";
    expect_the_pd_ended();
}

} // namespace
} // namespace fastrpc::vdsp::test
