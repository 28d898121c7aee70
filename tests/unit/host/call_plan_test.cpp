// What a client's invoke may say, and every way in which it is refused.
#include "daemon/device/guarded_area.hpp"
#include "daemon/host/call_plan.hpp"
#include "fake_dsp.hpp"
#include "invoke_builder.hpp"

#include <fmt/core.h>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <string>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();

struct Plans : testing::Test {
    FakeHeap heap;
    FakeDsp dsp;
    std::unique_ptr<Device> device = dsp.open();
    MemoryBudget budget{64 * page};
    BufferTable buffers{heap, *device, 8, budget};
    ModuleTable modules;
    GuardedArea outputs{max_inline};
    CallPlan plan{buffers, modules, outputs.bytes()};
    std::uint32_t module = modules.reserve("file:///libtest_skel.so?x").value();
    std::uint32_t buffer = 0;

    void SetUp() override {
        modules.publish(module, 0x7000);
        buffer = add_buffer();
    }
    std::uint32_t add_buffer() {
        UniqueFd share;
        return buffers.allocate(2 * page, share).value().id;
    }
    InvokeBuilder invoke(unsigned in, unsigned out) const { return InvokeBuilder(module, Scalars::make(2, in, out)); }
    /// Nothing is held: buffer and module can be taken away.
    void expect_nothing_held() {
        EXPECT_TRUE(buffers.free(buffer));
        EXPECT_TRUE(modules.retire(module));
    }
};

} // namespace

TEST_F(Plans, inline_inputs_stay_in_the_datagram_and_outputs_are_zeroed) {
    std::memset(outputs.bytes().data(), 0xAA, outputs.bytes().size());
    std::vector<std::byte> payload =
        invoke(2, 2).inline_input("abc").inline_input("defghijkl").inline_output(5).inline_output(9).payload();
    ASSERT_TRUE(plan.prepare(payload));
    EXPECT_EQ(plan.dsp_handle(), 0x7000U);
    EXPECT_EQ(plan.method(), 2U);
    EXPECT_EQ(plan.bytes(), 3U + 9 + 5 + 9);
    const auto arguments = plan.arguments();
    ASSERT_EQ(arguments.size(), 4U);
    std::byte* const inputs = payload.data() + sizeof(InvokeRequest) + 4 * sizeof(ArgumentDescriptor);
    EXPECT_EQ(arguments[0].data, inputs);
    EXPECT_EQ(arguments[0].length, 3U);
    EXPECT_EQ(arguments[1].data, inputs + 8);
    EXPECT_EQ(arguments[2].data, outputs.bytes().data());
    EXPECT_EQ(arguments[3].data, outputs.bytes().data() + 8);
    for (const Argument& argument : arguments) EXPECT_EQ(argument.buffer, 0U);
    ASSERT_EQ(plan.outputs().size(), 24U);
    for (const std::byte byte : plan.outputs()) EXPECT_EQ(byte, std::byte{0});
}

TEST_F(Plans, a_buffer_stays_an_id_and_an_offset) {
    std::vector<std::byte> payload = invoke(1, 1).buffer(buffer, 0, page).buffer(buffer, page, page).payload();
    ASSERT_TRUE(plan.prepare(payload));
    EXPECT_EQ(plan.arguments()[0].buffer, buffer);
    EXPECT_EQ(plan.arguments()[0].offset, 0U);
    EXPECT_EQ(plan.arguments()[1].buffer, buffer);
    EXPECT_EQ(plan.arguments()[1].offset, page);
    EXPECT_EQ(plan.arguments()[1].length, page);
    EXPECT_EQ(plan.bytes(), 2 * page);
    EXPECT_TRUE(plan.outputs().empty());
}

TEST_F(Plans, what_a_call_uses_can_not_be_taken_away_until_it_is_released) {
    std::vector<std::byte> payload = invoke(1, 0).buffer(buffer, 0, 8).payload();
    ASSERT_TRUE(plan.prepare(payload));
    EXPECT_EQ(buffers.free(buffer).error().kind, ErrorKind::busy);
    EXPECT_EQ(modules.retire(module).error().kind, ErrorKind::busy);
    plan.release();
    plan.release();
    expect_nothing_held();
}

TEST_F(Plans, an_empty_argument_maps_and_copies_nothing) {
    std::vector<std::byte> payload =
        invoke(2, 1).buffer(buffer, 2 * page, 0).inline_input("").inline_output(0).payload();
    ASSERT_TRUE(plan.prepare(payload));
    for (const Argument& argument : plan.arguments()) {
        EXPECT_EQ(argument.data, nullptr);
        EXPECT_EQ(argument.length, 0U);
        EXPECT_EQ(argument.buffer, 0U);
    }
}

TEST_F(Plans, all_510_arguments_fit) {
    InvokeBuilder builder = invoke(255, 255);
    for (int i = 0; i < 255; ++i) builder.buffer(buffer, static_cast<std::uint64_t>(i) * 8, 8);
    for (int i = 0; i < 255; ++i) builder.inline_output(8);
    std::vector<std::byte> payload = builder.payload();
    ASSERT_TRUE(plan.prepare(payload));
    EXPECT_EQ(plan.arguments().size(), 510U);
    EXPECT_EQ(plan.outputs().size(), 255U * 8);
    plan.release();
    expect_nothing_held();
}

TEST_F(Plans, inline_bytes_are_exactly_what_is_allowed) {
    std::vector<std::byte> payload =
        invoke(1, 1).inline_input(std::string(max_inline, 'x')).inline_output(max_inline).payload();
    EXPECT_TRUE(plan.prepare(payload));
}

TEST_F(Plans, ranges_of_different_buffers_do_not_meet) {
    const std::uint32_t other = add_buffer();
    std::vector<std::byte> payload =
        invoke(2, 1).buffer(other, 0, page).buffer(buffer, 0, page).buffer(other, page, page).payload();
    EXPECT_TRUE(plan.prepare(payload));
}

TEST_F(Plans, every_method_number_is_the_modules_own) {
    for (unsigned method = 0; method < 31; ++method) {
        std::vector<std::byte> payload = InvokeBuilder(module, Scalars::make(method, 0, 0)).payload();
        ASSERT_TRUE(plan.prepare(payload)) << method;
        EXPECT_EQ(plan.method(), method);
    }
    std::vector<std::byte> extended = InvokeBuilder(module, Scalars::make(extended_method, 1, 0))
                                          .inline_input(std::string("\x2A\0\0\0", 4))
                                          .payload();
    ASSERT_TRUE(plan.prepare(extended));
    EXPECT_EQ(plan.method(), 42U);
}

TEST_F(Plans, the_dsps_own_handles_are_out_of_reach) {
    for (std::uint32_t raw = 0; raw <= 10; ++raw) {
        std::vector<std::byte> payload = InvokeBuilder(raw, Scalars::make(2, 0, 0)).payload();
        EXPECT_EQ(plan.prepare(payload).error().kind, ErrorKind::not_found) << raw;
    }
    std::vector<std::byte> payload = InvokeBuilder(0x7000, Scalars::make(2, 0, 0)).payload(); // the DSP's own number
    EXPECT_EQ(plan.prepare(payload).error().kind, ErrorKind::not_found);
}

TEST_F(Plans, handles_are_refused_where_the_driver_drops_them) {
    dsp.facts.takes_handles = false;
    const std::unique_ptr<Device> accel = dsp.open();
    BufferTable theirs(heap, *accel, 8, budget);
    CallPlan other(theirs, modules, outputs.bytes());
    UniqueFd share;
    const std::uint32_t id = theirs.allocate(page, share).value().id;
    std::vector<std::byte> payload = InvokeBuilder(module, Scalars::make(2, 0, 0, 1, 0)).buffer(id, 0, 8).payload();
    const Status refused = other.prepare(payload);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
    EXPECT_NE(refused.error().text.find("QDA"), std::string::npos) << refused.error().text;
    payload = InvokeBuilder(module, Scalars::make(2, 1, 0)).buffer(id, 0, 8).payload();
    EXPECT_TRUE(other.prepare(payload));
}

namespace {

struct Refusal {
    const char* name;
    ErrorKind kind; ///< protocol ends the lane
    std::function<std::vector<std::byte>(Plans&)> payload;
};

class Refusals : public Plans, public testing::WithParamInterface<Refusal> {};

std::vector<std::byte> cut(std::vector<std::byte> bytes, std::size_t count) {
    bytes.resize(bytes.size() - count);
    return bytes;
}
std::vector<std::byte> longer(std::vector<std::byte> bytes, std::size_t count) {
    bytes.resize(bytes.size() + count);
    return bytes;
}

const Refusal refusals[] = {
    {"no_payload", ErrorKind::protocol, [](Plans&) { return std::vector<std::byte>{}; }},
    {"half_a_header", ErrorKind::protocol, [](Plans&) { return std::vector<std::byte>(sizeof(InvokeRequest) - 1); }},
    {"no_descriptors", ErrorKind::protocol,
     [](Plans& p) { return InvokeBuilder(p.module, Scalars::make(2, 1, 0)).payload(); }},
    {"half_a_descriptor", ErrorKind::protocol,
     [](Plans& p) { return cut(p.invoke(1, 0).buffer(p.buffer, 0, 8).payload(), 12); }},
    {"a_surplus_byte", ErrorKind::protocol,
     [](Plans& p) { return longer(p.invoke(1, 0).inline_input("abc").payload(), 1); }},
    {"a_surplus_descriptor", ErrorKind::protocol,
     [](Plans& p) { return p.invoke(0, 1).inline_output(8).inline_output(8).payload(); }},
    {"truncated_inputs", ErrorKind::protocol,
     [](Plans& p) { return cut(p.invoke(1, 0).inline_input("abcdefgh").payload(), 1); }},
    {"fewer_inputs_than_described", ErrorKind::protocol,
     [](Plans& p) {
         return p.invoke(1, 0).descriptor({0, 0, 0, 64}).raw_inputs(8).payload();
     }},
    {"more_inputs_than_described", ErrorKind::protocol,
     [](Plans& p) {
         return p.invoke(1, 0).descriptor({0, 0, 0, 8}).raw_inputs(64).payload();
     }},
    {"inputs_without_arguments", ErrorKind::protocol, [](Plans& p) { return p.invoke(0, 0).raw_inputs(8).payload(); }},
    {"input_handles_without_descriptors", ErrorKind::protocol,
     [](Plans& p) { return InvokeBuilder(p.module, Scalars::make(2, 0, 0, 1, 0)).payload(); }},
    {"an_output_handle_too_few", ErrorKind::protocol,
     [](Plans& p) { return InvokeBuilder(p.module, Scalars::make(2, 0, 0, 0, 2)).buffer(p.buffer, 0, 8).payload(); }},
    {"a_handle_beyond_its_buffer", ErrorKind::invalid,
     [](Plans& p) {
         return InvokeBuilder(p.module, Scalars::make(2, 0, 0, 1, 0)).buffer(p.buffer, page, page + 1).payload();
     }},
    {"attribute_bits", ErrorKind::unsupported,
     [](Plans& p) { return InvokeBuilder(p.module, Scalars{0x22000000}).payload(); }},
    {"unknown_module", ErrorKind::not_found,
     [](Plans& p) { return InvokeBuilder(p.module + 1, Scalars::make(2, 0, 0)).payload(); }},
    {"too_many_inline_inputs", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(1, 0).inline_input(std::string(max_inline + 1, 'x')).payload(); }},
    {"too_many_inline_outputs", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(0, 1).inline_output(max_inline + 1).payload(); }},
    {"too_many_inline_outputs_together", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(0, 2).inline_output(max_inline).inline_output(1).payload(); }},
    {"an_absurd_inline_output", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(0, 1).inline_output(huge).payload(); }},
    {"absurd_inline_outputs_that_wrap", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(0, 2).inline_output(16).inline_output(huge - 15).payload(); }},
    {"an_absurd_inline_input", ErrorKind::invalid,
     [](Plans& p) {
         return p.invoke(1, 0).descriptor({0, 0, 0, huge - 6}).payload();
     }},
    {"an_inline_offset", ErrorKind::invalid,
     [](Plans& p) {
         return p.invoke(0, 1).descriptor({0, 0, 8, 8}).payload();
     }},
    {"a_reserved_field", ErrorKind::invalid,
     [](Plans& p) {
         return p.invoke(0, 1).descriptor({0, 1, 0, 8}).payload();
     }},
    {"unknown_buffer", ErrorKind::not_found,
     [](Plans& p) { return p.invoke(1, 0).buffer(p.buffer + 1, 0, 8).payload(); }},
    {"a_stale_buffer", ErrorKind::not_found,
     [](Plans& p) {
         const std::uint32_t old = p.add_buffer();
         EXPECT_TRUE(p.buffers.free(old));
         p.add_buffer();
         return p.invoke(1, 0).buffer(old, 0, 8).payload();
     }},
    {"one_byte_beyond_the_buffer", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(1, 0).buffer(p.buffer, 0, 2 * page + 1).payload(); }},
    {"an_offset_beyond_the_buffer", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(1, 0).buffer(p.buffer, 2 * page + 1, 0).payload(); }},
    {"offset_and_length_beyond_the_buffer", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(0, 1).buffer(p.buffer, page, page + 1).payload(); }},
    {"an_offset_that_wraps", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(1, 0).buffer(p.buffer, huge, 2).payload(); }},
    {"a_length_that_wraps", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(1, 0).buffer(p.buffer, 8, huge - 7).payload(); }},
    {"the_same_range_twice", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(1, 1).buffer(p.buffer, 0, page).buffer(p.buffer, 0, page).payload(); }},
    {"overlapping_inputs", ErrorKind::invalid,
     [](Plans& p) { return p.invoke(2, 0).buffer(p.buffer, 0, 100).buffer(p.buffer, 99, 100).payload(); }},
    {"an_output_inside_an_input", ErrorKind::invalid,
     [](Plans& p) {
         return p.invoke(2, 1).buffer(p.buffer, page, page).inline_input("x").buffer(p.buffer, page + 8, 8).payload();
     }},
};

} // namespace

TEST_P(Refusals, hold_nothing_and_say_why) {
    std::vector<std::byte> payload = GetParam().payload(*this);
    const Status status = plan.prepare(payload);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, GetParam().kind) << status.error().text;
    EXPECT_FALSE(status.error().text.empty());
    expect_nothing_held();
}

INSTANTIATE_TEST_SUITE_P(Each, Refusals, testing::ValuesIn(refusals),
                         [](const auto& each) { return std::string(each.param.name); });
