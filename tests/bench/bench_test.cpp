// The benches' own arithmetic: what they say must follow from what they measured.
#include "tests/bench/contenders.hpp"
#include "tests/bench/invoke_chart.hpp"
#include "tests/bench/invoke_report.hpp"
#include "tests/bench/ping_pong.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

namespace {

using namespace fastrpc;
using namespace fastrpc::bench;

const std::string shared = "fastrpcd-shared", socket_lane = "fastrpcd-socket";

Samples three_rounds() {
    Samples samples;
    // The machine got slower by half in the last round, for both.
    samples[direct][headline(90)] = {{100, 200, 9000, 0}, {100, 200, 9000, 0}, {150, 300, 6000, 0}};
    samples[shared][headline(90)] = {{105, 220, 8500, 0}, {104, 210, 8500, 0}, {156, 330, 5800, 0}};
    samples[socket_lane][headline(90)] = {{110, 240, 8500, 0}, {112, 240, 8500, 0}, {165, 360, 5800, 0}};
    samples[dbus][headline(90)] = {{180, 400, 5000, 0}, {180, 400, 5000, 0}, {270, 600, 4000, 0}};
    samples[shared][{90, 1, largest}] = {{102, 200, 8000, 100}, {103, 200, 8000, 100}};
    const Cell eight{90, 8, {256, false}};
    samples[direct][eight] = {{120, 300, 60000, 0}};
    samples[shared][eight] = {{150, 500, 45000, 0}};
    return samples;
}

TEST(InvokeReport, ratios_are_of_neighbours_in_time_not_of_medians) {
    const Samples samples = three_rounds();
    const auto figures = InvokeReport(samples, {direct, shared, dbus}, shared).figures();
    EXPECT_DOUBLE_EQ(figures.at("p50_ratio_90us"), 1.04);
    EXPECT_DOUBLE_EQ(figures.at("p50_ratio_90us_min"), 1.04);
    EXPECT_DOUBLE_EQ(figures.at("p50_ratio_90us_max"), 1.05);
    EXPECT_DOUBLE_EQ(figures.at("p99_ratio_90us_max"), 1.1);
    EXPECT_DOUBLE_EQ(figures.at("added_p50_us_90us"), 5);
}

TEST(InvokeReport, every_goal_has_its_key) {
    const Samples samples = three_rounds();
    const auto figures = InvokeReport(samples, {direct, shared, dbus}, shared).figures();
    EXPECT_DOUBLE_EQ(figures.at("throughput_ratio_8"), 0.75);
    EXPECT_DOUBLE_EQ(figures.at("flat_16m"), 1.03); // of two rounds, the upper
    EXPECT_DOUBLE_EQ(figures.at("added_over_dbus"), 0.05);
}

TEST(InvokeReport, the_usual_lanes_give_the_keys_without_a_suffix) {
    const Samples samples = three_rounds();
    const auto figures = InvokeReport(samples, {direct, shared, socket_lane}, socket_lane).figures();
    EXPECT_DOUBLE_EQ(figures.at("p50_ratio_90us"), 1.1);
    EXPECT_DOUBLE_EQ(figures.at("p50_ratio_90us_socket"), 1.1);
    EXPECT_DOUBLE_EQ(figures.at("p50_ratio_90us_shared"), 1.04);
}

TEST(InvokeReport, what_was_not_measured_has_no_key) {
    const Samples samples = three_rounds();
    const auto figures = InvokeReport(samples, {direct, shared, dbus}, shared).figures();
    EXPECT_FALSE(figures.contains("added_over_grpc"));
    EXPECT_FALSE(figures.contains("throughput_ratio_32"));
    EXPECT_FALSE(figures.contains("p50_ratio_0us"));
}

TEST(Matrix, a_full_run_has_each_payload_with_each_number_of_clients) {
    EXPECT_EQ(cells(true).size(), 2U * 4 * 7);
    const std::vector<Cell> usual = cells(false);
    for (const unsigned clients : {1U, 2U, 8U, 32U})
        EXPECT_EQ(std::ranges::count(usual, Cell{90, clients, {256, false}}), 1);
    EXPECT_LT(usual.size(), cells(true).size());
}

TEST(PayloadCheck, a_wrong_byte_at_either_end_is_seen) {
    const Payload payload{4096, false};
    std::vector<std::byte> in(payload.bytes), out;
    stamp(payload, in, 300);
    out = in;
    EXPECT_TRUE(answers(payload, in, out, true));
    out.back() ^= std::byte{1};
    EXPECT_FALSE(answers(payload, in, out, false));
    out = in;
    out.front() ^= std::byte{1};
    EXPECT_FALSE(answers(payload, in, out, false));
    out = in;
    out[2000] ^= std::byte{1};
    EXPECT_FALSE(answers(payload, in, out, true));
    EXPECT_FALSE(answers(payload, in, {}, true));
}

TEST(PayloadCheck, an_answer_of_the_call_before_is_seen) {
    const Payload payload{256, false};
    std::vector<std::byte> in(payload.bytes);
    stamp(payload, in, 1);
    const std::vector<std::byte> old = in;
    stamp(payload, in, 2);
    EXPECT_FALSE(answers(payload, in, old, false));
}

TEST(PayloadCheck, a_registered_call_must_fill_its_answer) {
    const Payload payload{64U << 10, true};
    std::vector<std::byte> in(payload.bytes), out(answer_bytes, answer_byte);
    EXPECT_TRUE(answers(payload, in, out, true));
    out[7] = std::byte{0};
    EXPECT_FALSE(answers(payload, in, out, true));
}

TEST(Chart, holds_the_data_of_every_contender) {
    const Samples samples = three_rounds();
    const auto cells = InvokeReport(samples, {direct, shared, dbus}, shared).cells();
    const std::string script = invoke_chart(cells, "/tmp/it's.svg");
    for (const char* part : {"set output '/tmp/it''s.svg'", "title 'direct'", "title 'fastrpcd-shared'", "title 'dbus'",
                             "\"256 B\" 100 100 200 105 105 220 180 180 400"})
        EXPECT_NE(script.find(part), script.npos) << part;
}

TEST(PingPong, every_way_makes_its_rounds_and_the_pause_is_not_counted) {
    for (const PingPong kind : {PingPong::seqpacket, PingPong::pipe, PingPong::futex}) {
        const auto plain = ping_pong(kind, 50, 0, 352, 304);
        ASSERT_TRUE(plain) << plain.error().text;
        EXPECT_EQ(plain->size(), 50U);
        for (const double one : *plain) EXPECT_GT(one, 0);
        const auto paused = ping_pong(kind, 20, 50'000, 352, 304);
        ASSERT_TRUE(paused) << paused.error().text;
        EXPECT_LT(*std::ranges::min_element(*paused), 50'000);
    }
}

} // namespace
