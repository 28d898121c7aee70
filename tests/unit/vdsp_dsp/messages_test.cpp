// Log transport, process control and heap growth of a PD, seen from a host that serves apps_mem.
#include "host_side.hpp"

#include "vdsp/wire/kernel_calls.hpp"

#include <array>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp::test {
namespace {

constexpr std::uint32_t adspmsgd = 5, init3 = 0x04010100, wait_for_log = 0x05000100, deinit = 0x03000000;
constexpr std::uint32_t exit_call = 0x02000000;
constexpr std::uint64_t ring_size = 4096;
constexpr std::uint64_t cpu_token = 0x7f0012345000;

/// A host whose listener also answers apps_mem: memory of its own, mapped with MEM_MAP as a kernel does it.
class Messages : public HostTest {
protected:
    Messages() {
        serve = [this](const Seen& call) { return serve_all(call); };
    }

    HostReply serve_all(const Seen& call) {
        const auto request = decode_request(Scalars{call.scalars}, call.blob);
        if (!request) return {aee::bad_parm, {}};
        ReverseReply reply;
        lay_out_reply(request->capacities, reply);
        if (call.handle == 0) {
            const bool is_memory = std::memcmp(request->inputs.at(1).data(), "apps_mem", 9) == 0;
            const std::uint32_t handle = is_memory ? 2 : 1;
            std::memcpy(reply.outputs.at(0).data(), &handle, sizeof handle);
            return {0, reply.blob()};
        }
        if (call.handle != 2) return serve_files(call);
        if (call.method() == 3) {
            ++unmaps;
            return {0, reply.blob()};
        }
        if (call.method() != 2 || refuse) return {aee::no_memory, {}};
        const auto flags = value_at<std::uint32_t>(request->inputs.at(0), 8);
        const auto length = value_at<std::uint64_t>(request->inputs.at(0), 24);
        asked.emplace_back(flags, length);
        const std::array<std::uint64_t, 2> out{flags == 0 ? cpu_token : 0, map(length)};
        std::memcpy(reply.outputs.at(0).data(), out.data(), sizeof out);
        return {0, reply.blob()};
    }

    /// MEM_MAP of new memory of the client's; its address on the DSP.
    std::uint64_t map(std::uint64_t length) {
        ring = &machine.allocate(static_cast<std::uint32_t>(mapper), length);
        const kernel_call::MemMapBody body{.client = mapper, .fd = 5, .num = 16};
        const kernel_call::Page page{ring->address, length};
        const Sent sent = send(0, mapper_pd, 999, 1, kernel_call::mem_map.word,
                               {input(bytes_of_value(body)), input(bytes_of_value(page)), input({}), output(8)});
        const auto serving = std::exchange(between, [] {});
        EXPECT_EQ(finish(sent), 0);
        between = serving;
        return value_at<std::uint64_t>(sent.out(0));
    }

    Sent send_init(std::int32_t client, unsigned pd, std::uint64_t size = ring_size) {
        const std::array<std::uint32_t, 6> in{
            0, 0x80000000, 0x10, 0, static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(size >> 32)};
        return send(client, pd, main_tid, adspmsgd, init3, {input(bytes_of_value(in)), output(8)});
    }
    Sent send_wait(std::int32_t client, unsigned pd, std::int32_t tid = 80) {
        return send(client, pd, tid, adspmsgd, wait_for_log, {output(8)});
    }
    std::string text(std::size_t from) const { return reinterpret_cast<const char*>(ring->at + from); }
    std::uint32_t write_index() const { return value_at<std::uint32_t>({ring->at, ring_size}, ring_size - 4); }

    std::int32_t mapper = 1;
    unsigned mapper_pd = 0;
    bool refuse = false;
    const Memory* ring = nullptr;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> asked;
    int unmaps = 0;
};

TEST_F(Messages, the_ring_is_asked_for_while_init3_is_made_and_lines_wake_the_reader) {
    start();
    ASSERT_EQ(attach(1), 0);
    listen(1, 0);
    const Sent init = send_init(1, 0);
    ASSERT_EQ(finish(init), 0);
    EXPECT_EQ(value_at<std::uint64_t>(init.out(0)), cpu_token);
    EXPECT_EQ(asked, (std::vector{std::pair<std::uint32_t, std::uint64_t>(0, ring_size)}));
    EXPECT_EQ(write_index(), text(0).size() + 1) << "the attach line";
    EXPECT_NE(text(0).find("log"), std::string::npos) << text(0);

    const Sent first = send_wait(1, 0);
    ASSERT_EQ(finish(first), 0);
    EXPECT_EQ(value_at<std::uint64_t>(first.out(0)), write_index());
    const std::uint32_t read = write_index();
    const Sent second = send_wait(1, 0);
    EXPECT_EQ(open(1, 0, "adsp_default_listener").dl_error, 0);
    EXPECT_FALSE(answered(second)) << "there is nothing to say";
    const Opened registered = open(1, 0, "adsp_default_listener");
    ASSERT_EQ(finish(send(1, 0, main_tid, registered.handle, 0)), 0);
    ASSERT_EQ(finish(second), 0);
    EXPECT_GT(write_index(), read);
    EXPECT_NE(text(read), "");
}

TEST_F(Messages, a_script_writes_to_the_ring_and_over_its_index_and_wakes_the_reader) {
    start();
    ASSERT_EQ(attach(1), 0);
    listen(1, 0);
    ASSERT_EQ(finish(send_init(1, 0)), 0);
    ASSERT_EQ(finish(send_wait(1, 0)), 0);
    const std::uint32_t before = write_index();
    const Sent waiting = send_wait(1, 0);
    std::atomic<bool> ended = false;
    const auto run = [&](const char* steps) {
        ended = false;
        dsp->run_script(R"({"command":"run","pd":"root","script":)" + std::string(steps) + "}", [&](const auto& end) {
            EXPECT_TRUE(end && end->find("\"read\":true") != std::string::npos);
            ended = true;
        });
        run_until([&] { return ended.load(); });
    };
    run(R"([{"do":"ring","text":"from a script"}])");
    ASSERT_EQ(finish(waiting), 0);
    EXPECT_EQ(text(before), "from a script");
    run(R"([{"do":"ring_poke","at":-4,"bytes":[4294967280]}])");
    EXPECT_EQ(write_index(), 0xFFFFFFF0U);
}

TEST_F(Messages, a_second_client_gets_no_buffer_until_the_first_is_gone) {
    start();
    ASSERT_EQ(attach(1), 0);
    ASSERT_EQ(attach(2), 0);
    listen(1, 0);
    listen(2, 0);
    ASSERT_EQ(finish(send_init(1, 0)), 0);
    const Sent other = send_init(2, 0);
    ASSERT_EQ(finish(other), 0);
    EXPECT_EQ(value_at<std::uint64_t>(other.out(0)), 0U);
    EXPECT_EQ(finish(send_wait(2, 0, 81)), aee::on_dsp(aee::bad_state));
    ASSERT_EQ(release(1, 0), 0);
    mapper = 2;
    const Sent again = send_init(2, 0);
    ASSERT_EQ(finish(again), 0);
    EXPECT_EQ(value_at<std::uint64_t>(again.out(0)), cpu_token);
}

TEST_F(Messages, a_reader_comes_back_at_deinit_at_exit_and_at_release) {
    start();
    ASSERT_EQ(attach(1), 0);
    listen(1, 0);
    enum { by_deinit, by_exit };
    for (const int end : {by_deinit, by_exit}) {
        SCOPED_TRACE(end);
        ASSERT_EQ(finish(send_init(1, 0)), 0);
        ASSERT_EQ(finish(send_wait(1, 0)), 0);
        const Sent blocked = send_wait(1, 0);
        ASSERT_EQ(finish(send(1, 0, main_tid, end == by_deinit ? adspmsgd : 4, end == by_deinit ? deinit : exit_call)),
                  0);
        EXPECT_EQ(finish(blocked), aee::on_dsp(aee::bad_state));
        if (end == by_deinit) run_until([&] { return unmaps == 1; });
    }
    EXPECT_EQ(release(1, 0), 0);
    ASSERT_EQ(attach(2), 0);
    mapper = 2;
    listen(2, 0);
    ASSERT_EQ(finish(send_init(2, 0)), 0);
    ASSERT_EQ(finish(send_wait(2, 0)), 0);
    const Sent blocked = send_wait(2, 0);
    EXPECT_EQ(release(2, 0), 0);
    EXPECT_EQ(finish(blocked), aee::on_dsp(aee::bad_state));
}

TEST_F(Messages, a_user_pd_tells_of_each_module_that_it_loads) {
    mapper = 3;
    mapper_pd = 1;
    start();
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    ASSERT_EQ(create(3), 0);
    listen(3, 1);
    ASSERT_EQ(finish(send_init(3, 1)), 0);
    const std::uint32_t before = write_index();
    ASSERT_EQ(open(3, 1, uri_of("test")).dl_error, 0);
    EXPECT_NE(text(before).find("libtest_skel.so"), std::string::npos) << text(before);
    ASSERT_EQ(open(3, 1, uri_of("test")).dl_error, 0);
    EXPECT_EQ(write_index(), before + text(before).size() + 1) << "it was loaded once";
}

TEST_F(Messages, sizes_refusals_and_lies_end_init3_alone) {
    start();
    ASSERT_EQ(attach(1), 0);
    const auto on_dsp = [](int code) { return aee::on_dsp(code); };
    EXPECT_EQ(finish(send_init(1, 0)), on_dsp(aee::unable_to_load)) << "nobody listens";
    listen(1, 0);
    for (const std::uint64_t size :
         {std::uint64_t{0}, std::uint64_t{1020}, std::uint64_t{4098}, std::uint64_t{1} << 40})
        EXPECT_EQ(finish(send_init(1, 0, size)), on_dsp(aee::bad_parm)) << size;
    refuse = true;
    EXPECT_EQ(finish(send_init(1, 0)), on_dsp(aee::no_memory));
    refuse = false;
    const auto honest = serve;
    serve = [&](const Seen& call) { // an address that was never mapped
        if (call.handle != 2) return honest(call);
        ReverseReply reply;
        lay_out_reply(std::array<std::uint32_t, 1>{16}, reply);
        const std::array<std::uint64_t, 2> out{cpu_token, 0x3f000000};
        std::memcpy(reply.outputs[0].data(), out.data(), sizeof out);
        return HostReply{0, reply.blob()};
    };
    EXPECT_EQ(finish(send_init(1, 0)), on_dsp(0x83));
    serve = honest;
    EXPECT_EQ(finish(send(1, 0, main_tid, adspmsgd, 0x02000000)), on_dsp(aee::unsupported)) << "the old init2";
    EXPECT_EQ(finish(send_init(1, 0)), 0) << "and now it works";
}

TEST_F(Messages, a_host_that_registers_is_asked_for_a_piece_of_heap) {
    start();
    ASSERT_EQ(attach(1), 0);
    const Opened registered = open(1, 0, "adsp_default_listener");
    ASSERT_EQ(finish(send(1, 0, main_tid, registered.handle, 0)), 0);
    listen(1, 0, 3);
    run_until([&] { return !asked.empty(); });
    EXPECT_EQ(asked.front().first, 0x1000U);
    EXPECT_EQ(asked.front().second % 4096, 0U);
}

TEST_F(Messages, settings_of_the_process_are_checked_and_taken) {
    start();
    ASSERT_EQ(create(3), 0);
    const std::int32_t bad = aee::on_dsp(aee::bad_parm);
    const auto words = [](std::initializer_list<std::uint32_t> values) {
        Bytes bytes(values.size() * 4);
        std::memcpy(bytes.data(), values.begin(), bytes.size());
        return input(bytes);
    };
    const auto call = [&](std::uint32_t scalars, std::vector<Arg> args) {
        return finish(send(3, 1, 1, 4, scalars, std::move(args)));
    };
    EXPECT_EQ(call(0x05000100, {output(4)}), 0);
    EXPECT_EQ(call(0x05000100, {output(2)}), bad);
    EXPECT_EQ(call(0x06010000, {words({100})}), 0);
    EXPECT_EQ(call(0x06000000, {}), bad);
    EXPECT_EQ(call(0x08030000, {words({0x1f, 1}), words({6}), input(bytes_of_text("file.c"))}), 0);
    EXPECT_EQ(call(0x08030000, {words({0x1f, 1}), words({7}), input(bytes_of_text("file.c"))}), bad);
    EXPECT_EQ(call(0x08030000, {words({0x1f, 2}), words({6}), input(bytes_of_text("file.c"))}), bad);
    EXPECT_EQ(call(0x0B020000, {words({2}), words({1, 2})}), 0);
    EXPECT_EQ(call(0x0B020000, {words({3}), words({1, 2})}), bad);
    EXPECT_EQ(call(0x09010000, {words({1})}), aee::on_dsp(aee::unsupported));
    EXPECT_EQ(finish(send(3, 1, 1, 6, 0x02010000, {words({1})})), aee::on_dsp(aee::unsupported)) << "adsp_perf";
    EXPECT_EQ(finish(send(3, 1, 1, 9, 0x02010000, {words({1})})), aee::on_dsp(aee::unsupported)) << "adsp_perf1";
}

TEST_F(Messages, exception_is_the_death_of_a_user_pd_and_of_no_other) {
    start();
    ASSERT_EQ(attach(1), 0);
    ASSERT_EQ(create(3), 0);
    EXPECT_EQ(finish(send(1, 0, 1, 4, 0x07000000)), aee::on_dsp(aee::bad_perms));
    EXPECT_EQ(finish(send(3, 1, 1, 4, 0x07000000)), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(nlohmann::json::parse(status()).at("crashes"), 1);
}

TEST_F(Messages, exit_ends_a_user_pd_with_whatever_still_runs_in_it_and_is_no_crash) {
    const std::uint32_t module = run_test_module();
    const Memory& word = machine.allocate(3, 4096);
    const Sent stuck = send(3, 1, 90, module, 0x07010000, {shared(word, 0, 4)}); // waits for a word that stays 0
    EXPECT_EQ(finish(send(3, 1, main_tid, 4, exit_call)), 0);
    EXPECT_EQ(finish(stuck), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(finish(send(3, 1, main_tid, module, 0x08000100, {output(8)})), aee::on_dsp(aee::bad_state));
    const auto json = nlohmann::json::parse(status());
    EXPECT_EQ(json.at("crashes"), 0);
    EXPECT_EQ(json.at("pds").back().at("state"), "left");
    EXPECT_EQ(release(3), 0);
    EXPECT_EQ(nlohmann::json::parse(status()).at("pds").size(), 1U);
}

} // namespace
} // namespace fastrpc::vdsp::test
