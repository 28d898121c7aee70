// Many callers at once, and the time that the DSP takes.
#include "host_side.hpp"

#include <chrono>
#include <vector>

namespace fastrpc::vdsp::test {
namespace {

using Clock = std::chrono::steady_clock;
class Concurrency : public HostTest {
protected:
    std::uint32_t module = run_test_module();
    Sent wait_on(const Memory& word, std::int32_t tid) {
        return send(3, 1, tid, module, 0x07010000, {shared(word, 0, 4)});
    }
};

TEST_F(Concurrency, callers_threads_run_at_the_same_time) {
    constexpr std::int32_t callers = 60;
    const Memory& word = machine.allocate(3, 4);
    std::vector<Sent> waiting;
    for (std::int32_t tid = 0; tid < callers; ++tid) waiting.push_back(wait_on(word, 100 + tid));
    // All DSP threads so far are taken, and yet the next caller gets one.
    EXPECT_EQ(finish(send(3, 1, 500, module, 0x06010000, {input(bytes_of_value(0U))})), 0);
    for (const Sent& each : waiting) EXPECT_FALSE(answered(each));
    word.at[0] = std::byte{1};
    for (const Sent& each : waiting) EXPECT_EQ(finish(each), 0);
}

TEST_F(Concurrency, calls_of_one_thread_run_in_their_order) {
    const Memory& word = machine.allocate(3, 4);
    const Sent first = wait_on(word, 100);
    const Sent second = send(3, 1, 100, module, 0x06010000, {input(bytes_of_value(0U))});
    EXPECT_EQ(finish(send(3, 1, 101, module, 0x06010000, {input(bytes_of_value(0U))})), 0);
    EXPECT_FALSE(answered(second));
    word.at[0] = std::byte{1};
    EXPECT_EQ(finish(second), 0);
    EXPECT_TRUE(answered(first));
}

TEST_F(Concurrency, callers_without_end_need_no_threads_without_end) {
    for (std::int32_t tid = 0; tid < 400; ++tid)
        ASSERT_EQ(finish(send(3, 1, 1000 + tid, module, 0x06010000, {input(bytes_of_value(0U))})), 0) << tid;
}

TEST_F(Concurrency, a_channel_full_of_calls_is_answered_without_mixing) {
    std::vector<Sent> sent;
    for (std::uint32_t i = 0; i < 250; ++i)
        sent.push_back(send(3, 1, static_cast<std::int32_t>(i % 50), module, 0x02010100,
                            {input(Bytes(64 + i, static_cast<std::byte>(i))), output(64 + i)}));
    for (std::uint32_t i = 0; i < sent.size(); ++i) {
        ASSERT_EQ(finish(sent[i]), 0);
        EXPECT_EQ(sent[i].out(0), Bytes(64 + i, static_cast<std::byte>(i)));
    }
}

TEST_F(Concurrency, latency_is_added_from_now_on_to_running_pds) {
    using std::chrono::milliseconds;
    const auto duration = [&] {
        const auto begin = Clock::now();
        EXPECT_EQ(finish(send(3, 1, 1, module, 0x06010000, {input(bytes_of_value(0U))})), 0);
        return Clock::now() - begin;
    };
    dsp->set_latency(150'000);
    EXPECT_GE(duration(), milliseconds(150));
    dsp->set_latency(0);
    EXPECT_LT(std::min({duration(), duration(), duration(), duration()}), milliseconds(150));
}

} // namespace
} // namespace fastrpc::vdsp::test
