// Methods of a loaded module: on which memory they run, what comes back, and what happens when they crash.
#include "host_side.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
class ModuleRun : public HostTest {
protected:
    std::int32_t call(std::uint32_t scalars, std::vector<Arg> args = {}) {
        return finish(send(3, 1, main_tid, module, scalars, std::move(args)));
    }
    std::uint32_t module = run_test_module();
};

TEST_F(ModuleRun, inline_arguments_go_there_and_back) {
    Bytes bytes(10'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
    const Sent sent = send(3, 1, main_tid, module, 0x02010100, {input(bytes), output(bytes.size())});
    EXPECT_EQ(finish(sent), 0);
    EXPECT_EQ(sent.out(0), bytes);
    const Sent nothing = send(3, 1, main_tid, module, 0x02010100, {input({}), input({})});
    EXPECT_EQ(finish(nothing), 0);
}

TEST_F(ModuleRun, buffers_are_used_in_place) {
    const Memory& buffer = machine.allocate(3, 3 * 4096);
    std::array<std::uint32_t, 2000> values{};
    std::iota(values.begin(), values.end(), 1000U);
    constexpr std::uint64_t at = 1234; // neither aligned nor within one page
    std::memcpy(buffer.at + at, values.data(), sizeof values);
    const Sent sent = send(3, 1, main_tid, module, 0x03010100, {shared(buffer, at, sizeof values), output(8)});
    EXPECT_EQ(finish(sent), 0);
    EXPECT_EQ(value_at<std::uint64_t>(sent.out(0)), std::accumulate(values.begin(), values.end(), std::uint64_t{0}));
    // The output lands in the buffer itself, and in no byte beside it.
    EXPECT_EQ(call(0x05010100, {input(bytes_of_value(0)), shared(buffer, 4096, 100)}), 0);
    EXPECT_TRUE(std::all_of(buffer.at + 4096, buffer.at + 4196, [](std::byte b) { return b == std::byte{0x5a}; }));
    EXPECT_EQ(std::memcmp(buffer.at + at, values.data(), 4096 - at), 0);
    EXPECT_NE(buffer.at[4196], std::byte{0x5a});
}

TEST_F(ModuleRun, handles_come_as_number_offset_and_length) {
    const Memory& buffer = machine.allocate(3, 3 * 4096);
    const Sent sent =
        send(3, 1, main_tid, module, 0x09000111, {output(24), shared(buffer, 100, 8192), shared(buffer, 0, 5)});
    EXPECT_EQ(finish(sent), 0);
    const std::array<std::uint32_t, 6> as_sent{9, 100, 8192, 9, 0, 5};
    EXPECT_EQ(sent.out(0), bytes_of_value(as_sent));
    EXPECT_EQ(call(0x09000111, {output(23), shared(buffer, 0, 8), shared(buffer, 0, 8)}), aee::on_dsp(aee::bad_parm));
}

TEST_F(ModuleRun, finds_no_memory_where_nothing_is_mapped_and_no_interface_that_nobody_serves) {
    const Sent nowhere =
        send(3, 1, main_tid, module, 0x0b010100, {input(bytes_of_value(std::uint64_t{0x1000})), output(8)});
    EXPECT_EQ(finish(nowhere), aee::on_dsp(aee::bad_parm));
    const std::array<char, 7> name{"nobody"};
    EXPECT_NE(call(0x0a020100, {input(bytes_of_value(2U)), input(bytes_of_value(name)), output(8)}), 0);
    EXPECT_EQ(call(0x06010000, {input(bytes_of_value(1U))}), 0) << "the PD goes on";
}

TEST_F(ModuleRun, the_status_shows_what_the_host_wants_of_its_threads) {
    const auto threads = [&] {
        const json all = json::parse(status());
        for (const json& pd : all["pds"])
            if (pd["kind"] == "unsigned") return pd["threads"];
        return json();
    };
    EXPECT_TRUE(threads().is_null());
    const auto set = [&](std::array<std::uint32_t, 2> prim, std::array<std::uint32_t, 2> values) {
        return finish(
            send(3, 1, main_tid, 8, 0x05020000, {input(bytes_of_value(prim)), input(bytes_of_value(values))}));
    };
    EXPECT_EQ(set({2, 2}, {1, 1}), 0); // a request that it does not know
    EXPECT_EQ(set({1, 2}, {100, 65536}), 0);
    run_until([&] { return !threads().is_null(); });
    EXPECT_EQ(threads(), (json{{"priority", 100}, {"stack", 65536}}));
}

TEST_F(ModuleRun, a_running_module_sees_writes_of_others) {
    const Memory& word = machine.allocate(3, 4096);
    const std::uint64_t lookups = machine.lookups + 1; // of the payload
    const Sent waiting = send(3, 1, main_tid, module, 0x07010000, {shared(word, 8, 4)});
    run_until([&] { return machine.lookups > lookups; }); // the PD asked for the memory, so it is in the call
    EXPECT_FALSE(answered(waiting));
    word.at[8] = std::byte{1};
    EXPECT_EQ(finish(waiting), 0);
}

TEST_F(ModuleRun, memory_that_was_given_back_is_looked_up_again) {
    const Memory buffer = machine.allocate(3, 4096);
    const auto fill = [&](const Memory& memory) {
        return call(0x05010100, {input(bytes_of_value(0)), shared(memory, 0, 16)});
    };
    EXPECT_EQ(fill(buffer), 0);
    machine.free(buffer.address);
    dsp->unmapped(buffer.address);
    const Memory stale{buffer.address, 4096, -1, nullptr};
    EXPECT_EQ(fill(stale), static_cast<std::int32_t>(0x80000483));
}

TEST_F(ModuleRun, a_known_window_is_not_looked_up_again) {
    const Memory& buffer = machine.allocate(3, 4096);
    const auto fill = [&] {
        const std::uint64_t before = machine.lookups;
        EXPECT_EQ(call(0x05010100, {input(bytes_of_value(0)), shared(buffer, 0, 16)}), 0);
        return machine.lookups - before;
    };
    EXPECT_EQ(fill(), 2U) << "payload and buffer";
    EXPECT_EQ(fill(), 1U) << "payload";
}

TEST_F(ModuleRun, the_result_is_the_modules_and_outputs_come_with_it) {
    for (const std::int32_t code : {1, 39, 0x7FFFFFFF, -1, -4096, static_cast<std::int32_t>(0x8000040D)}) {
        const Sent sent = send(3, 1, main_tid, module, 0x05010100, {input(bytes_of_value(code)), output(16)});
        EXPECT_EQ(finish(sent), code);
        EXPECT_EQ(sent.out(0), Bytes(16, std::byte{0x5a}));
    }
}

TEST_F(ModuleRun, wrong_scalars_are_the_modules_to_refuse) {
    EXPECT_EQ(call(0x03000000), aee::on_dsp(aee::bad_parm));
    EXPECT_EQ(call(0x1E000000), aee::on_dsp(aee::unsupported));
    EXPECT_EQ(call(0x00000000), aee::on_dsp(aee::bad_parm)) << "open needs its arguments";
    EXPECT_EQ(call(0x01000000), aee::on_dsp(aee::bad_parm)) << "and so does close";
}

TEST_F(ModuleRun, garbage_payloads_are_refused_and_the_pd_lives) {
    std::uint64_t context = 0x100001;
    const auto raw = [&](std::uint64_t address, std::uint64_t size, std::uint32_t scalars) {
        Sent sent;
        sent.context = context += 16;
        dsp->receive({3, main_tid, sent.context, module, scalars, address, size});
        return finish(sent);
    };
    const auto bad_address = static_cast<std::int32_t>(0x80000483);
    const Memory& payload = machine.allocate(3, 4096);
    EXPECT_EQ(raw(0, 4096, 0x04000000), bad_address);
    EXPECT_EQ(raw(0x900000000, 4096, 0x04000000), bad_address) << "another SID";
    EXPECT_EQ(raw(payload.address, ~std::uint64_t{0}, 0x02010100), bad_address);
    EXPECT_EQ(raw(payload.address, 1 << 20, 0x02010100), bad_address) << "larger than its window";
    EXPECT_EQ(raw(payload.address, 4096, 0x02ffff00), aee::on_dsp(aee::bad_parm)) << "510 arguments do not fit";
    std::memset(payload.at, 0xff, payload.size);
    EXPECT_EQ(raw(payload.address, 4096, 0x02010100), aee::on_dsp(aee::bad_parm));
    for (unsigned seed = 1; seed < 200; ++seed) { // deterministic noise in the tables
        std::uint32_t noise = seed * 2654435761U;
        for (std::size_t i = 0; i < 512; ++i) {
            noise = noise * 1664525U + 1013904223U;
            payload.at[i] = static_cast<std::byte>(noise >> 28); // small numbers get further than large ones
        }
        raw(payload.address, 4096, 0x02010100);
    }
    EXPECT_EQ(call(0x06010000, {input(bytes_of_value(0U))}), 0);
}

TEST_F(ModuleRun, memory_of_another_client_does_not_exist) {
    const Memory& foreign = machine.allocate(5, 4096);
    EXPECT_EQ(call(0x02010100, {shared(foreign, 0, 64), output(64)}), static_cast<std::int32_t>(0x80000483));
    EXPECT_EQ(call(0x05010100, {input(bytes_of_value(0)), shared(foreign, 0, 64)}),
              static_cast<std::int32_t>(0x80000483));
    EXPECT_EQ(foreign.at[0], std::byte{0});
}

TEST_F(ModuleRun, a_crash_ends_the_pd_and_nothing_else) {
    const std::uint32_t other = run_test_module(4);
    const Memory& word = machine.allocate(3, 4);
    const std::uint64_t lookups = machine.lookups;
    const Sent waiting = send(3, 1, 5, module, 0x07010000, {shared(word, 0, 4)});
    run_until([&] { return machine.lookups > lookups + 1; });
    EXPECT_EQ(call(0x04000000), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(finish(waiting), aee::on_dsp(aee::bad_state)) << "another call in the same PD";
    EXPECT_EQ(call(0x06010000, {input(bytes_of_value(0U))}), aee::no_such) << "later calls";
    EXPECT_EQ(finish(send(4, 1, main_tid, other, 0x06010000, {input(bytes_of_value(0U))})), 0) << "the neighbour";
    const json all = json::parse(status());
    EXPECT_EQ(all["crashes"], 1);
    EXPECT_EQ(release(3), 0);
    EXPECT_EQ(json::parse(status())["pds"].size(), 2U) << "root and the neighbour";
    listener_ends.clear();
    EXPECT_NE(run_test_module(), 0U) << "and the client may begin anew";
}

TEST_F(ModuleRun, status_counts_calls_and_reverse_calls) {
    EXPECT_EQ(call(0x06010000, {input(bytes_of_value(0U))}), 0);
    EXPECT_EQ(call(0x06010000, {input(bytes_of_value(0U))}), 0);
    const json all = json::parse(status());
    EXPECT_EQ(all["calls"], 2);
    const auto user = std::ranges::find_if(all["pds"], [](const json& pd) { return pd["kind"] == "unsigned"; });
    ASSERT_NE(user, all["pds"].end());
    EXPECT_EQ((*user)["reverse_calls"], seen.size());
}

} // namespace
} // namespace fastrpc::vdsp::test
