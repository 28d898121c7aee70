// The end of a DSP and its next life: who is woken, what is left, what comes back (KERNEL 1.14, 1.15).
#include "driver_fixture.hpp"
#include "vdsp/driver/commands.hpp"

#include <chrono>

namespace fastrpc::vdsp {
namespace {

class Restart : public DriverTest {
protected:
    Restart() : file(open("fastrpc-cdsp")) {}
    ~Restart() override { file.reset(); }
    /// The DSP dies and has booted again.
    void restart(int down_ms = 0) {
        const int generation = status()["generation"];
        EXPECT_EQ(
            run_command(*driver, R"({"command":"restart","domain":"cdsp","down_ms":)" + std::to_string(down_ms) + "}"),
            "{}");
        run_until([&] { return status()["generation"] == generation + 1; });
    }
    /// The DSP half of the newest life.
    FakeDsp& newest() { return *dsps.back(); }
    std::shared_ptr<OpenFile> file;
};

TEST_F(Restart, every_pending_call_gets_epipe_at_once) {
    hold(dsp());
    std::vector<Running> running;
    for (int i = 0; i < 32; ++i) running.push_back(start_invoke(file, 20, Scalars{0}));
    running.push_back(start_ioctl(file, VDSP_INIT_ATTACH, 0)); // a call of the kernel, bounded by 20 s
    running.push_back(start_ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}));
    const auto start = std::chrono::steady_clock::now();
    restart();
    for (Running& one : running) EXPECT_EQ(one.wait().error, EPIPE);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    EXPECT_EQ(status()["contexts_used"], 0);
    EXPECT_EQ(status()["restarts"], 1);
}

TEST_F(Restart, what_the_dsp_wrote_into_a_broken_call_is_delivered) {
    dsp().handler = [](FakeDsp& self, const WireRequest& request) -> std::optional<std::int32_t> {
        self.put(first_byte(self.arguments(request)[0]), std::uint8_t{0x5a});
        return std::nullopt;
    };
    Running running = start_invoke(file, 20, Scalars::make(2, 0, 1), {{.pointer = 0x7f0000000000, .length = 1}});
    restart();
    const auto outcome = running.wait();
    EXPECT_EQ(outcome.error, EPIPE);
    ASSERT_EQ(outcome.outputs.size(), 1U);
    EXPECT_EQ(outcome.outputs[0].second, std::vector{std::byte{0x5a}});
    // A call that comes too late has nothing to deliver.
    const auto late = invoke(file, 20, Scalars::make(2, 0, 1), {{.pointer = 0x7f0000000000, .length = 1}});
    EXPECT_EQ(late.error, EPIPE);
    EXPECT_TRUE(late.outputs.empty());
}

TEST_F(Restart, nodes_are_gone_while_it_is_down_and_come_back) {
    std::vector<std::string> seen;
    driver->on_change = [&] {
        for (const std::string& name : driver->nodes())
            if (name.starts_with("fastrpc-cdsp")) seen.push_back(name);
        seen.emplace_back("|");
    };
    EXPECT_EQ(run_command(*driver, R"({"command":"down","domain":"cdsp"})"), "{}");
    EXPECT_FALSE(driver->exists("fastrpc-cdsp"));
    EXPECT_EQ(driver->open("fastrpc-cdsp-secure").error(), ENOENT);
    EXPECT_TRUE(driver->exists("fastrpc-adsp-secure"));
    EXPECT_EQ(status()["state"], "offline");
    EXPECT_EQ(run_command(*driver, R"({"command":"up","domain":"cdsp"})"), "{}");
    run_until([&] { return driver->exists("fastrpc-cdsp"); });
    EXPECT_EQ(status()["state"], "running");
    EXPECT_EQ(status()["generation"], 2);
    EXPECT_EQ(seen, (std::vector<std::string>{"|", "fastrpc-cdsp", "fastrpc-cdsp-secure", "|"}));
    driver->on_change = nullptr;
    const auto fresh = open("fastrpc-cdsp");
    EXPECT_EQ(fresh->client(), 1); // its slots are all free
    Running running(fresh, {.op = vdsp_op_invoke},
                    [] {
                        std::vector<UniqueFd> none;
                        return invoke_body(20, Scalars{0}, {}, none);
                    }(),
                    {});
    EXPECT_EQ(running.wait().result, 0);
    EXPECT_EQ(newest().received.size(), 1U);
}

TEST_F(Restart, old_files_are_zombies_for_ever) {
    const UniqueFd buffer = heap(4096);
    EXPECT_EQ(ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 6}).result, 0); // fills the cache
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}).result, 0);
    EXPECT_EQ(status()["zombies"], 0);
    restart();
    EXPECT_EQ(status()["zombies"], 1);
    const auto error = [&](std::uint32_t code, const auto& request, const UniqueFd* given = nullptr) {
        const Outcome outcome = ioctl(file, code, request, given);
        return outcome.result == -1 ? outcome.error : 0;
    };
    EXPECT_EQ(attach(file).error, EPIPE);
    EXPECT_EQ(invoke(file, 20, Scalars{0}).error, EPIPE);
    EXPECT_EQ(invoke(file, 1, Scalars{0}).error, EPIPE); // not EPERM
    EXPECT_EQ(error(VDSP_INIT_CREATE, vdsp_init_create{.attrs = 8}), EPIPE);
    EXPECT_EQ(error(VDSP_INIT_CREATE, vdsp_init_create{.attrs = 0}), ECONNREFUSED); // looked at before the DSP
    EXPECT_EQ(error(VDSP_INIT_CREATE_STATIC, vdsp_init_create_static{.namelen = 7, .memlen = 1U << 20}), EPIPE);
    EXPECT_EQ(error(VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}), EPIPE);
    EXPECT_EQ(error(VDSP_MMAP, vdsp_mmap{.flags = 4, .size = 4096}), EINVAL);
    EXPECT_EQ(error(VDSP_MUNMAP, vdsp_munmap{.vaddrout = 0, .size = 4096}), EPIPE);
    EXPECT_EQ(error(VDSP_MUNMAP, vdsp_munmap{.vaddrout = 1, .size = 4096}), EINVAL);
    EXPECT_EQ(error(VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 4096}, &buffer), EPIPE);
    EXPECT_EQ(error(VDSP_MEM_MAP, vdsp_mem_map{.fd = -1, .length = 4096}), EBADF);
    EXPECT_EQ(error(VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = 5, .vaddr = 7}), EINVAL);
    EXPECT_EQ(error(VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 6}), 0); // from the cache
    EXPECT_EQ(error(VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 256}), EOVERFLOW);
    EXPECT_EQ(error(0xC0045202U, std::uint32_t{0}), ENOTTY);
    close(file); // and no RELEASE is sent
    EXPECT_TRUE(file->released());
    file.reset();
    EXPECT_EQ(status()["zombies"], 0);
    EXPECT_TRUE(newest().received.empty());
}

TEST_F(Restart, abandoned_contexts_and_lost_heaps_end_with_their_dsp) {
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}).result, 0);
    abandon_call(file);
    EXPECT_EQ(status()["contexts_abandoned"], 1);
    const std::weak_ptr<OpenFile> watched = file;
    restart();
    EXPECT_EQ(status()["contexts_abandoned"], 0);
    file.reset();
    run_until([&] { return watched.expired(); });
}

TEST_F(Restart, last_answers_of_a_dead_dsp_are_no_surprise) {
    ContextTable contexts(true, [](const std::shared_ptr<void>&) {});
    Caller caller(-1);
    ASSERT_TRUE(contexts.take(caller.call));
    const std::uint8_t id = caller.call.id;
    contexts.kill();
    EXPECT_EQ(caller.call.state, Call::State::dead);
    contexts.free(caller.call);
    EXPECT_TRUE(contexts.answer(id, 0)); // its own warning for each call would say nothing new
    ContextTable living(true, [](const std::shared_ptr<void>&) {});
    EXPECT_FALSE(living.answer(id, 0));
}

TEST_F(Restart, a_crash_from_any_thread_is_a_restart) {
    hold(dsp());
    Running running = start_invoke(file, 20, Scalars{0});
    std::thread([&] { dsp().machine.crashed(std::chrono::milliseconds(1)); }).join();
    run_until([&] { return status()["state"] != "running"; });
    EXPECT_EQ(status()["state"], "crashed");
    EXPECT_EQ(running.wait().error, EPIPE);
    run_until([&] { return status()["generation"] == 2; });
    EXPECT_EQ(status()["state"], "running");
}

TEST_F(Restart, settings_outlive_a_life) {
    run_command(*driver, R"({"command":"latency","us":70})");
    run_command(*driver, R"({"command":"slots","domain":"cdsp","slots":2})");
    const std::string faults = R"({"command":"faults","domain":"cdsp","rules":[]})";
    EXPECT_NE(run_command(*driver, faults), "{}");
    restart();
    EXPECT_EQ(newest().config.latency_us, 70U);
    EXPECT_EQ(nlohmann::json::parse(newest().config.faults), nlohmann::json::parse(faults));
    EXPECT_EQ(status()["slots"], 2);
}

TEST_F(Restart, storms_end_every_call_and_leak_nothing) {
    constexpr int storms = 100;
    std::atomic<bool> stop = false;
    std::atomic<int> served = 0;
    std::mutex opening; // open() belongs to the loop; here both take turns
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([&] {
            std::vector<UniqueFd> none;
            auto body = invoke_body(
                20, Scalars::make(2, 1, 1),
                {{.pointer = 4096, .length = 5, .data = std::vector<std::byte>(5)}, {.pointer = 8192, .length = 5}},
                none);
            while (!stop) {
                std::shared_ptr<DeviceFile> mine;
                {
                    const std::lock_guard lock(opening);
                    if (auto opened = driver->open("fastrpc-cdsp")) mine = *opened;
                }
                if (!mine) continue;
                Caller caller(-1); // of this file alone: it keeps a payload, which is memory of the file's DSP
                const vdsp_request header{.op = vdsp_op_invoke, .body = body.size()};
                for (int calls = 0; calls < 50; ++calls) {
                    Answer answer;
                    EXPECT_EQ(mine->serve(caller, {.header = header, .body = body, .fds = {}}, answer),
                              Served::answered);
                    EXPECT_TRUE(answer.result == 0 || answer.error == EPIPE) << answer.error;
                    caller.trim();
                    if (answer.result != 0) break;
                    ++served;
                }
                mine->close(caller);
            }
        });
    }
    for (int i = 0; i < storms; ++i) {
        const int before = served;
        run_until([&] { return served > before; });
        const std::lock_guard lock(opening);
        restart();
    }
    stop = true;
    for (std::thread& caller : callers) caller.join();
    const auto end = status();
    EXPECT_EQ(end["generation"], storms + 1);
    EXPECT_EQ(end["zombies"], 1); // the fixture's
    EXPECT_EQ(end["contexts_used"], 0);
    EXPECT_EQ(end["slots_used"], 0);
    EXPECT_EQ(end["windows"], 0);
}

} // namespace
} // namespace fastrpc::vdsp
