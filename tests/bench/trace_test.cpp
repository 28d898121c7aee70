// Traces: what is cut from them, and that the library writes them.
#include "daemon/device/misc_abi.hpp"
#include "tests/bench/call_spans.hpp"
#include "tests/bench/open_steps.hpp"
#include "tests/bench/trace.hpp"
#include "tests/stack/stack.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

namespace {

using namespace fastrpc;
using namespace fastrpc::bench;

constexpr std::uint32_t client = 10, fastrpcd = 20, host = 30, lane = 31, listener = 32;
constexpr auto invoke_request = static_cast<std::uint32_t>(daemon::misc_abi::invoke);
constexpr auto create_request = static_cast<std::uint32_t>(daemon::misc_abi::init_create);

/// Times in microseconds.
TraceEvent event(std::uint32_t process, std::uint32_t thread, std::uint32_t kind, std::uint64_t begin,
                 std::uint64_t end, std::uint32_t detail = 1) {
    return {begin * 1000, end * 1000, process, thread, kind, detail};
}

std::vector<TraceEvent> by_end(std::vector<TraceEvent> events) {
    std::ranges::stable_sort(events, {}, &TraceEvent::end);
    return events;
}

std::vector<TraceEvent> one_call(std::uint32_t gives, std::uint32_t takes, std::uint64_t at) {
    return {event(client, client, bench_trace_mark, at, at, bench_mark_call),
            event(client, client, gives, at + 1, at + 4),
            event(host, lane, takes, at - 5, at + 6),
            event(host, lane, bench_trace_ioctl, at + 8, at + 108, invoke_request),
            event(host, lane, gives, at + 109, at + 125),
            event(client, client, takes, at + 4, at + 119),
            event(client, client, bench_trace_mark, at + 120, at + 120, bench_mark_called)};
}

TEST(CallSpans, follow_each_other_from_the_call_to_its_return) {
    for (const auto& [gives, takes] : {std::pair(bench_trace_send, bench_trace_receive),
                                       {bench_trace_write, bench_trace_read},
                                       {bench_trace_wake, bench_trace_wait}}) {
        const auto calls = cut_calls(by_end(one_call(gives, takes, 1000)), client, host);
        ASSERT_EQ(calls.size(), 1U);
        EXPECT_EQ(calls[0], (CallSpans{1, 5, 2, 100, 1, 10, 1}));
    }
}

TEST(CallSpans, of_two_calls_are_told_apart) {
    auto events = one_call(bench_trace_send, bench_trace_receive, 1000);
    const auto more = one_call(bench_trace_send, bench_trace_receive, 2000);
    events.insert(events.end(), more.begin(), more.end());
    const auto calls = cut_calls(by_end(std::move(events)), client, host);
    ASSERT_EQ(calls.size(), 2U);
    EXPECT_EQ(calls[0], calls[1]);
}

TEST(CallSpans, without_system_calls_between_them_still_add_up) {
    const auto calls = cut_calls(by_end({event(client, client, bench_trace_mark, 1000, 1000, bench_mark_call),
                                         event(host, lane, bench_trace_ioctl, 1010, 1110, invoke_request),
                                         event(client, client, bench_trace_mark, 1130, 1130, bench_mark_called)}),
                                 client, host);
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_DOUBLE_EQ(std::accumulate(calls[0].begin(), calls[0].end(), 0.0), 130);
}

TEST(CallSpans, leave_out_a_call_that_no_host_made) {
    auto events = one_call(bench_trace_send, bench_trace_receive, 1000);
    EXPECT_TRUE(cut_calls(by_end(std::move(events)), client, host + 1).empty());
}

std::vector<TraceEvent> one_open() {
    return by_end({event(client, client, bench_trace_mark, 0, 0, bench_mark_open),
                   event(client, client, bench_trace_send, 50, 60),
                   event(client, client, bench_trace_send, 100, 110), // OpenSession
                   event(fastrpcd, fastrpcd, bench_trace_receive, 150, 160),
                   event(fastrpcd, fastrpcd, bench_trace_connect, 300, 310),
                   event(host, host, bench_trace_start, 900, 901, 0),
                   event(host, host, bench_trace_receive, 1000, 1100),
                   event(host, host, bench_trace_ioctl, 1300, 1350, 0),
                   event(host, host, bench_trace_ioctl, 2000, 5000, create_request),
                   event(host, listener, bench_trace_ioctl, 5100, 5200, invoke_request),
                   event(host, host, bench_trace_send, 5500, 5510),
                   event(client, client, bench_trace_mark, 6000, 6000, bench_mark_opened),
                   event(client, client, bench_trace_send, 6010, 6020),
                   event(client, client, bench_trace_receive, 6020, 6100),
                   event(host, lane, bench_trace_ioctl, 6200, 7200, invoke_request),
                   event(host, listener, bench_trace_ioctl, 5250, 6400, invoke_request),
                   event(host, listener, bench_trace_ioctl, 6500, 6700, invoke_request), // 100 us of the listener's
                   event(client, client, bench_trace_mark, 7300, 7300, bench_mark_loaded),
                   event(host, lane, bench_trace_ioctl, 7320, 7400, invoke_request),
                   event(client, client, bench_trace_mark, 7450, 7450, bench_mark_first_call)});
}

TEST(OpenSteps, follow_each_other_and_tell_the_dsps_share) {
    const auto times = open_times(one_open(), client, fastrpcd);
    ASSERT_TRUE(times) << times.error().text;
    EXPECT_EQ(times->steps, (std::array<double, 12>{100, 60, 140, 600, 200, 900, 3000, 500, 500, 100, 1200, 150}));
    EXPECT_DOUBLE_EQ(times->total, 7450);
    EXPECT_DOUBLE_EQ(std::accumulate(times->steps.begin(), times->steps.end(), 0.0), times->total);
    EXPECT_DOUBLE_EQ(times->dsp, 3000 + 1000 - 100 + 80);
}

TEST(OpenSteps, of_a_host_that_was_ready_have_no_start) {
    auto events = one_open();
    std::erase_if(
        events, [](const TraceEvent& one) { return one.kind == bench_trace_start || one.kind == bench_trace_connect; });
    const auto times = open_times(events, client, fastrpcd);
    ASSERT_TRUE(times) << times.error().text;
    EXPECT_EQ(times->steps, (std::array<double, 12>{100, 60, 940, 0, 0, 900, 3000, 500, 500, 100, 1200, 150}));
}

TEST(OpenSteps, name_the_event_that_a_trace_lacks) {
    auto events = one_open();
    std::erase_if(events, [](const TraceEvent& one) { return one.detail == create_request; });
    const auto times = open_times(events, client, fastrpcd);
    ASSERT_FALSE(times);
    EXPECT_EQ(times.error().kind, ErrorKind::not_found);
    EXPECT_NE(times.error().text.find("the PD"), std::string::npos) << times.error().text;
}

TEST(Trace, has_the_system_calls_of_a_program_of_ours) {
    const auto trace = Trace::make(1000);
    ASSERT_TRUE(trace) << trace.error().text;
    const auto outcome =
        stack::run({.command = {"/bin/cat", "/proc/self/status"}, .environment = (*trace)->environment()});
    ASSERT_TRUE(outcome);
    ASSERT_EQ(outcome->code, 0) << outcome->errors;
    const auto events = (*trace)->events();
    ASSERT_TRUE(events);
    const auto count = [&](std::uint32_t kind) { return std::ranges::count(*events, kind, &TraceEvent::kind); };
    EXPECT_EQ(count(bench_trace_start), 1);
    EXPECT_GT(count(bench_trace_read), 0);
    EXPECT_GT(count(bench_trace_write), 0);
    (*trace)->clear();
    EXPECT_TRUE((*trace)->events()->empty());
}

TEST(Trace, says_when_it_lost_events) {
    const auto trace = Trace::make(1);
    ASSERT_TRUE(trace);
    ASSERT_TRUE(stack::run({.command = {"/bin/cat", "/proc/self/status"}, .environment = (*trace)->environment()}));
    const auto events = (*trace)->events();
    ASSERT_FALSE(events);
    EXPECT_EQ(events.error().kind, ErrorKind::quota);
}

TEST(Environment, a_preload_goes_in_front_of_the_one_that_is_there) {
    std::map<std::string, std::string> environment{{"LD_PRELOAD", "shim"}, {"A", "1"}};
    stack::add_environment(environment, {{"LD_PRELOAD", "trace"}, {"A", "2"}, {"B", "3"}});
    EXPECT_EQ(environment, (std::map<std::string, std::string>{{"LD_PRELOAD", "trace:shim"}, {"A", "2"}, {"B", "3"}}));
}

} // namespace
