// Calls of a random run: those that are answered at once, and those that stay in the DSP while other things happen.
#include "tests/integration/model_run.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::test {
namespace {

constexpr unsigned echo_method = 2, wait_method = 7, handles_method = 9;
// Echoes use the first 3072 bytes of a buffer, so that they leave the words alone that calls wait for.
constexpr std::uint64_t piece = 1024, first_word = 3 * piece;
// The module waits a minute for a word.
constexpr auto long_in_the_dsp = 8s;

std::string text(const ModelSession::Range& range) {
    return range.buffer == 0 ? fmt::format("{} bytes inline", range.length)
                             : fmt::format("{} bytes at {} of {:#x}", range.length, range.offset, range.buffer);
}

ArgumentDescriptor descriptor(const ModelSession::Range& range) {
    return {range.buffer, 0, range.offset, range.length};
}

} // namespace

HeldLane* RandomRun::free_lane(unsigned number) {
    std::vector<HeldLane*> free;
    for (HeldLane& lane : hands_[number].lanes)
        if (!lane.flight) free.push_back(&lane);
    return free.empty() ? nullptr : *any_of(free);
}

ModelSession::Range RandomRun::any_range(unsigned number) {
    if (random(4) == 0) {
        constexpr std::uint64_t lengths[] = {0, 9, piece, 65536};
        return {0, 0, lengths[random(std::size(lengths))]};
    }
    ModelSession::Range range{any_buffer(number), random(3) * piece, piece};
    if (random(8) == 0) range.offset = random(2) == 0 ? 65536 : ~std::uint64_t{0} - 500;
    if (random(8) == 0) range.length = random(2) == 0 ? 0 : ~std::uint64_t{0} - 4000;
    return range;
}

void RandomRun::call(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return;
    const std::uint32_t module = any_module(number);
    const ModelSession::Range in = any_range(number);
    ModelSession::Range out = any_range(number);
    if (out.buffer == 0 && random(8) == 0) out.length = 65537;
    std::vector<std::byte> inputs(in.buffer == 0 ? padded(in.length) : 0);
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<std::byte>(i * 7 + operations_);
    const InvokeRequest head{module, Scalars::make(echo_method, 1, 1).word, static_cast<std::uint32_t>(inputs.size()),
                             0};
    RawClient& client = *hands_[number].client;
    const std::string told =
        held->lane.ask(client, request(LaneOp::invoke, packed_call(head, {descriptor(in), descriptor(out)}, inputs)));
    expect(told, model_.at(number).echo(module, in, out), "call with " + text(in) + ", " + text(out));
    if (told == "ok" && in.buffer == 0 && out.buffer == 0) {
        const auto bytes = client.answer().payload.subspan(sizeof(InvokeReply), in.length);
        EXPECT_TRUE(std::ranges::equal(bytes, std::span(inputs).first(in.length))) << "another answer";
    }
}

void RandomRun::call_with_handles(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return;
    const std::uint32_t module = any_module(number);
    const ModelSession::Range in = any_range(number), out = any_range(number);
    struct Seen {
        std::int32_t fd;
        std::uint32_t offset, length;
    };
    const InvokeRequest head{module, Scalars::make(handles_method, 0, 1, 1, 1).word, 0, 0};
    RawClient& client = *hands_[number].client;
    const std::string told = held->lane.ask(
        client,
        request(LaneOp::invoke, packed_call(head, {{0, 0, 0, 2 * sizeof(Seen)}, descriptor(in), descriptor(out)})));
    expect(told, model_.at(number).hand_over(module, in, out), "call with handles " + text(in) + ", " + text(out));
    if (told != "ok") return;
    struct Answer {
        InvokeReply reply;
        Seen in, out;
    };
    const auto seen = client.answer_as<Answer>();
    EXPECT_GT(seen.in.fd, 0);
    EXPECT_EQ(seen.in.fd == seen.out.fd, in.buffer == out.buffer);
    EXPECT_EQ(std::tuple(seen.in.offset, seen.in.length, seen.out.offset, seen.out.length),
              std::tuple(in.offset, in.length, out.offset, out.length));
}

void RandomRun::begin_call(unsigned number) {
    begin(number, 0);
}

/// A call's deadline ends its session, and all that waits in it.
void RandomRun::outstay(unsigned number) {
    hear_timeouts();
    if (!begin(number, 30)) return;
    hear_end(number, "timeout", LostReason::timeout);
    ended(number);
}

/// Sessions share buffers, so no two calls in the DSP wait at the same offset, of whichever buffer.
std::uint64_t RandomRun::free_word() const {
    std::uint64_t place = first_word; // the page has as many as the DSP has contexts
    const auto taken = [&](const auto& entry) { return entry.second.waits_at(place); };
    while (std::ranges::any_of(hands_, taken)) place += sizeof(std::uint32_t);
    return place;
}

bool RandomRun::begin(unsigned number, std::uint32_t deadline_ms) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return false;
    Hands& its = hands_[number];
    const std::uint32_t module = any_module(number);
    const std::uint64_t place = free_word();
    const ModelSession::Range range{any_buffer(number), place, sizeof(std::uint32_t)};
    const auto buffer = its.buffers.find(range.buffer);
    std::optional<Word> word;
    if (buffer != its.buffers.end()) word.emplace(buffer->second.get(), place);
    unsigned call = 0;
    const std::string wanted = model_.at(number).begin_call(module, range, call);
    const InvokeRequest head{module, Scalars::make(wait_method, 1, 0).word, 0, deadline_ms};
    const Datagram what = request(LaneOp::invoke, packed_call(head, {descriptor(range)}));
    const std::string name = "begin a call with " + text(range);
    if (wanted != "ok") {
        expect(held->lane.ask(*its.client, what), wanted, name);
        return false;
    }
    EXPECT_TRUE(held->lane.say(what));
    held->flight = Flight{.call = call, .word = std::move(word.value())};
    if (deadline_ms != 0) return true;
    const bool began = stack::eventually([&] { return usage(number).in_flight == model_.at(number).in_flight(); });
    expect(began ? "ok" : held->lane.quiet() ? "silence" : held->lane.hear(*its.client), wanted, name);
    return began;
}

void RandomRun::finish(unsigned number, HeldLane& lane) {
    EXPECT_TRUE(lane.lane.quiet()) << "a call came back by itself";
    lane.flight->word.let_go();
    expect(lane.lane.hear(*hands_[number].client), "ok", "finish a call");
    model_.at(number).end_call(lane.flight->call);
    lane.flight.reset();
}

void RandomRun::finish_left(unsigned number) {
    Hands& its = hands_[number];
    its.left.back().word.let_go();
    model_.at(number).end_call(its.left.back().call);
    model_.at(number).close_lane();
    its.left.pop_back();
    const bool back = stack::eventually([&] { return usage(number).lanes == model_.at(number).lanes(); });
    expect(back ? "ok" : "silence", "ok", "finish a call of a lane that was closed");
}

void RandomRun::finish_call(unsigned number) {
    Hands& its = hands_[number];
    if (!its.left.empty()) return finish_left(number);
    for (HeldLane& lane : its.lanes)
        if (lane.flight) return finish(number, lane);
}

void RandomRun::finish_old_calls() {
    const auto old = std::chrono::steady_clock::now() - long_in_the_dsp;
    for (auto& [number, its] : hands_) {
        for (HeldLane& lane : its.lanes)
            if (lane.flight && lane.flight->began < old) finish(number, lane);
        while (std::ranges::any_of(its.left, [&](const Flight& flight) { return flight.began < old; }))
            finish_left(number);
    }
}

} // namespace fastrpc::test
