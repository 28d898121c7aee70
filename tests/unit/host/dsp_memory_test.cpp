// What hosts do with their PD's log and with the memory that it asks for.
#include "daemon/device/heap.hpp"
#include "ipc/aee.hpp"
#include "static_harness.hpp"

#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;
using namespace std::chrono_literals;

namespace {

bool comes_true(const std::function<bool()>& condition) {
    const auto limit = std::chrono::steady_clock::now() + 10s;
    while (!condition())
        if (std::chrono::steady_clock::now() > limit)
            return false;
        else
            std::this_thread::sleep_for(1ms);
    return true;
}

struct LogsOfStaticPds : StaticHarness {
    LogsOfStaticPds() { dsp.has_log = true; }
    bool followed(int times = 1) {
        return comes_true([&] { return dsp.log_waits >= times; });
    }
};

using MemoryOfSessions = SessionHarness;

} // namespace

TEST_F(LogsOfStaticPds, a_root_pds_log_is_followed_and_its_reader_counted_until_the_end) {
    start(PdKind::root);
    until(PdState::running);
    ASSERT_TRUE(followed());
    EXPECT_EQ(usage().in_flight, 2U) << "the listener and the reader";
    order_stop();
    const ByeMessage last = goodbye();
    EXPECT_EQ(last.lost_contexts, 0U);
    EXPECT_EQ(last.counters.in_flight, 0U);
    EXPECT_EQ(dsp.log_ends, 1);
    EXPECT_EQ(dsp.exits, 1);
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(LogsOfStaticPds, it_is_followed_again_after_a_restart_of_the_dsp) {
    start(PdKind::root);
    until(PdState::running);
    ASSERT_TRUE(followed());
    dsp.die({-1, EPIPE});
    EXPECT_EQ(until(PdState::running).generation, 2U);
    EXPECT_TRUE(followed(2));
    EXPECT_EQ(dsp.log_ends, 0) << "of a DSP that is gone nothing is asked";
}

TEST_F(LogsOfStaticPds, other_pds_and_sdsp_are_not_asked) {
    for (const auto& [kind, domain] : {std::pair{PdKind::audio, Domain::adsp}, std::pair{PdKind::sensors, Domain::sdsp},
                                       std::pair{PdKind::root, Domain::sdsp}}) {
        start(kind, domain);
        until(PdState::running);
        EXPECT_EQ(usage().in_flight, 1U);
        stop();
    }
    EXPECT_EQ(dsp.log_waits, 0);
}

TEST_F(LogsOfStaticPds, a_reader_that_does_not_come_back_ends_the_host_with_its_context) {
    environment.end_limit = 100ms;
    dsp.keeps_log = true;
    start(PdKind::root);
    until(PdState::running);
    ASSERT_TRUE(followed());
    dsp.die({aee::on_dsp(aee::bad_state), 0}); // the PD, and not the call for its log
    const ByeMessage last = goodbye();
    EXPECT_NE(last.reason.find("log"), std::string::npos) << last.reason;
    EXPECT_EQ(last.lost_contexts, 1U);
    EXPECT_EQ(dsp.log_ends, 1) << "the DSP was told";
    EXPECT_EQ(opens, 1) << "never two PDs in one process";
    dsp.die({-1, EPIPE});
    EXPECT_TRUE(comes_true([&] { return dsp.devices == 0; }));
}

TEST_F(LogsOfStaticPds, a_reader_that_hangs_does_not_keep_a_stopped_host) {
    environment.end_limit = 100ms;
    dsp.keeps_log = true;
    start(PdKind::root);
    until(PdState::running);
    ASSERT_TRUE(followed());
    order_stop();
    const ByeMessage last = goodbye();
    EXPECT_GE(last.lost_contexts, 1U);
    EXPECT_LE(last.lost_contexts, 2U);
    dsp.die({-1, EPIPE});
    EXPECT_TRUE(comes_true([&] { return dsp.devices == 0; }));
}

TEST_F(LogsOfStaticPds, a_machine_without_a_heap_has_no_log_and_serves_on) {
    environment.open_heap = []() -> Result<std::unique_ptr<Heap>> { return fail(ErrorKind::system, "no heap"); };
    start(PdKind::root);
    until(PdState::running);
    EXPECT_EQ(dsp.ask_for_memory(0x1000, 100).result, 0) << "the kernel's memory needs none of ours";
    EXPECT_EQ(dsp.log_waits, 0);
}

TEST_F(MemoryOfSessions, what_the_dsp_asks_for_is_charged_to_the_grant) {
    start_ready();
    const std::uint64_t page = page_size();
    ASSERT_EQ(dsp.ask_for_memory(0x1000, 100).result, 0);
    EXPECT_EQ(usage().mapped_bytes, page);
    EXPECT_EQ(usage().buffers, 0U);
    ASSERT_EQ(dsp.ask_for_memory(0, 2 * page).result, 0);
    EXPECT_EQ(usage().mapped_bytes, 3 * page);
    const std::uint64_t left = message.grant.limits.mapped_bytes - 3 * page;
    EXPECT_EQ(dsp.ask_for_memory(0x1000, left + 1).result, aee::no_memory);
    EXPECT_EQ(session->ask(static_cast<std::uint16_t>(SessionOp::allocate_buffer), raw(BufferRequest{left + 1, 0, 0}))
                  .error()
                  .kind,
              ErrorKind::quota);
    EXPECT_EQ(allocate(left).size, left);
    EXPECT_EQ(dsp.ask_for_memory(0x1000, 1).result, aee::no_memory);
}
