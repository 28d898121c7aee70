// INVOKE in the driver: order of checks, results, contexts, mappings, and the end of files (KERNEL 1.11, 1.14, 1.15).
#include "driver_fixture.hpp"

#include <algorithm>
#include <fcntl.h>

namespace fastrpc::vdsp {
namespace {

constexpr std::uint64_t a = 0x7f0000000000;

std::vector<std::byte> text(std::string_view value) {
    const auto bytes = std::as_bytes(std::span(value));
    return {bytes.begin(), bytes.end()};
}

class Invoke : public DriverTest {
protected:
    Invoke() : file(open("fastrpc-cdsp")) {}
    std::shared_ptr<OpenFile> file;
};

TEST_F(Invoke, carries_inputs_there_and_outputs_back) {
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        const auto arguments = self.arguments(request);
        EXPECT_EQ(request.client, 1);
        EXPECT_EQ(request.tid, 77);
        EXPECT_EQ(request.handle, 20U);
        self.write(first_byte(arguments[1]), self.bytes(first_byte(arguments[0]), 5));
        return 0;
    };
    const auto outcome = invoke(file, 20, Scalars::make(2, 1, 1),
                                {{.pointer = a, .length = 5, .data = text("hello")}, {.pointer = a + 64, .length = 5}});
    ASSERT_EQ(outcome.outputs.size(), 1U);
    EXPECT_EQ(outcome.outputs[0].first, 1U);
    EXPECT_EQ(outcome.outputs[0].second, text("hello"));
}

TEST_F(Invoke, results_are_returned_as_the_kernel_does) {
    const auto returns = [&](std::int32_t result) {
        say(dsp(), result);
        const auto outcome = invoke(file, 20, Scalars{0});
        return std::pair(outcome.result, outcome.error);
    };
    using Pair = std::pair<std::int32_t, std::int32_t>;
    EXPECT_EQ(returns(0), Pair(0, 0));
    EXPECT_EQ(returns(39), Pair(39, 0));
    EXPECT_EQ(returns(0x7FFFFFFF), Pair(0x7FFFFFFF, 0));
    EXPECT_EQ(returns(-1), Pair(-1, 1));
    EXPECT_EQ(returns(-4095), Pair(-1, 4095));
    EXPECT_EQ(returns(-4096), Pair(-4096, 0));
    EXPECT_EQ(returns(static_cast<std::int32_t>(0x8000040DU)), Pair(static_cast<std::int32_t>(0x8000040DU), 0));
    EXPECT_EQ(status()["contexts_used"], 0);
    EXPECT_EQ(returns(-512), Pair(-1, 512)); // taken for the driver's own condition
    EXPECT_EQ(returns(-110), Pair(-1, ETIMEDOUT));
    EXPECT_EQ(status()["contexts_abandoned"], 2);
}

TEST_F(Invoke, outputs_are_delivered_although_the_dsp_failed) {
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        self.put(first_byte(self.arguments(request)[0]), std::uint8_t{0x5a});
        return 39;
    };
    const auto outcome = invoke(file, 20, Scalars::make(2, 0, 1), {{.pointer = a, .length = 1}});
    EXPECT_EQ(outcome.result, 39);
    EXPECT_EQ(outcome.outputs[0].second, std::vector{std::byte{0x5a}});
}

TEST_F(Invoke, an_output_that_leaves_its_payload_is_a_fault) {
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        self.put(request.address + 8, std::uint64_t{1} << 40);
        return 0;
    };
    EXPECT_EQ(invoke(file, 20, Scalars::make(2, 0, 1), {{.pointer = a, .length = 8}}).error, EFAULT);
    EXPECT_EQ(fatal(), 1U);
    EXPECT_EQ(status()["contexts_used"], 0);
}

TEST_F(Invoke, checks_come_in_the_kernels_order) {
    const UniqueFd buffer = heap(4096);
    const auto error = [&](std::uint32_t handle, const std::vector<Argument>& arguments, std::uint32_t flags = 0) {
        const auto outcome =
            start_invoke(file, handle, Scalars::make(2, static_cast<unsigned>(arguments.size()), 0), arguments, flags)
                .wait();
        return outcome.result == -1 ? outcome.error : 0;
    };
    const Argument unmapped{.pointer = a, .length = 8, .fd = 99};
    EXPECT_EQ(error(1, {unmapped}), EPERM);
    EXPECT_EQ(error(20, {unmapped}, vdsp_flag_fault), EINVAL);
    EXPECT_EQ(error(20, {{.pointer = a, .length = 8, .fd = -2}}), EINVAL);
    EXPECT_EQ(error(20, {{.pointer = a, .length = max_payload}}, vdsp_flag_fault), ENOMEM);
    EXPECT_EQ(error(20, {{.pointer = a, .length = 8}}, vdsp_flag_fault), EFAULT);
    EXPECT_EQ(error(20, {{.pointer = a, .length = 4097, .fd = 5, .file = &buffer}}), EINVAL);
    EXPECT_EQ(fatal(), 1U);
    EXPECT_EQ(error(20, {{.pointer = a, .length = 4096, .fd = 5, .file = &buffer, .vma = a},
                         {.pointer = a + 2048, .length = 8, .data = text("12345678")}}),
              EFAULT);
    EXPECT_EQ(fatal(), 2U);
    EXPECT_TRUE(dsp().received.empty());
    EXPECT_EQ(status()["contexts_used"], 0);
}

TEST_F(Invoke, handle_two_is_not_refused) {
    EXPECT_EQ(invoke(file, 2, Scalars{0}).result, 0);
}

TEST_F(Invoke, context_ids_go_round_and_run_out) {
    hold(dsp());
    std::vector<Running> running;
    for (int i = 0; i < 255; ++i) running.push_back(start_invoke(file, 20, Scalars{0}));
    EXPECT_EQ(dsp().received.back().request.context, 0xFF0U);
    EXPECT_EQ(invoke(file, 20, Scalars{0}).error, ENOSPC);
    const auto other = open("fastrpc-cdsp-secure");
    EXPECT_EQ(attach(other).error, ENOSPC); // calls of the kernel share the ids
    dsp().answer(0x50, 0);
    EXPECT_TRUE(running[4].wait().answered);
    say(dsp(), 0);
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 0);
    EXPECT_EQ(dsp().received.back().request.context, 0x50U);
    dsp().answer(0x20, 7);
    EXPECT_EQ(running[1].wait().result, 7);
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 0);
    EXPECT_EQ(dsp().received.back().request.context, 0x20U); // on from 5, all round
}

TEST_F(Invoke, garbage_from_the_dsp_is_ignored) {
    dsp().answer(0x30, 0);
    dsp().answer(0, 0);
    dsp().machine.respond(std::vector<std::byte>(15));
    hold(dsp());
    Running running = start_invoke(file, 20, Scalars{0});
    dsp().machine.respond({});
    EXPECT_FALSE(running.ended());
    dsp().answer(0x10 | 0xFFFF'0000'0000'000FU, 3); // only the id's bits count
    EXPECT_EQ(running.wait().result, 3);
}

TEST_F(Invoke, an_abandoned_call_keeps_its_id_and_takes_the_heaps_along) {
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}).result, 0);
    abandon_call(file);
    EXPECT_EQ(status()["contexts_abandoned"], 1);
    dsp().answer(dsp().received.back().request.context, 0);
    EXPECT_EQ(status()["contexts_used"], 1);
    say(dsp(), 0);
    EXPECT_EQ(ioctl(file, VDSP_MUNMAP, vdsp_munmap{.vaddrout = 0, .size = 4096}).error, EINVAL);
    const auto payload = dsp().received[1].request.address;
    close(file);
    EXPECT_TRUE(file->released());
    file.reset();
    EXPECT_TRUE(dsp().machine.window(payload)); // the DSP may still write there
}

TEST_F(Invoke, mapped_buffers_keep_their_address_from_call_to_call) {
    const UniqueFd buffer = heap(16384);
    std::vector<std::uint64_t> pages;
    dsp().handler = [&pages](FakeDsp& self, const WireRequest& request) {
        const auto arguments = self.arguments(request);
        pages.push_back(arguments[0].page);
        self.put(first_byte(arguments[0]), std::uint8_t{0xA5});
        return 0;
    };
    const Argument argument{.pointer = a + 0x1010, .length = 5000, .fd = 5, .file = &buffer, .vma = a};
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(invoke(file, 20, Scalars::make(2, 0, 1), {argument}).outputs.empty());
    EXPECT_EQ(pages, std::vector<std::uint64_t>(3, pages[0]));
    char byte = 0;
    EXPECT_EQ(::pread(buffer.get(), &byte, 1, 0x1010), 1);
    EXPECT_EQ(static_cast<unsigned char>(byte), 0xA5U); // no copy between
    EXPECT_TRUE(dsp().gone.empty());
    std::vector<UniqueFd> others;
    for (int i = 0; i < 33; ++i) {
        others.push_back(heap(4096));
        invoke(file, 20, Scalars::make(2, 0, 1),
               {{.pointer = a, .length = 1, .fd = 6, .file = &others.back(), .vma = a}});
    }
    EXPECT_EQ(dsp().gone[0], pages[0] - 0x1000); // the one used longest ago
}

TEST_F(Invoke, a_read_only_fd_is_still_writable_for_the_dsp) {
    const UniqueFd buffer = heap(4096);
    const UniqueFd reader(::open(("/proc/self/fd/" + std::to_string(buffer.get())).c_str(), O_RDONLY | O_CLOEXEC));
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        self.put(first_byte(self.arguments(request)[0]), std::uint8_t{1});
        return 0;
    };
    const Argument argument{.pointer = a, .length = 1, .fd = 5, .file = &reader, .vma = a};
    EXPECT_EQ(invoke(file, 20, Scalars::make(2, 0, 1), {argument}).result, 0);
}

TEST_F(Invoke, handle_mappings_live_until_the_dsp_gives_them_back) {
    const UniqueFd buffer = heap(8192);
    const Argument handle{.pointer = 16, .length = 32, .fd = 5, .file = &buffer};
    const auto outcome = invoke(file, 20, Scalars::make(2, 0, 0, 1), {handle});
    EXPECT_EQ(outcome.result, 0);
    const auto view = dsp().arguments(dsp().received.back().request);
    EXPECT_EQ(view[0].fd, 5);
    EXPECT_EQ(view[0].offset, 16U);
    EXPECT_EQ(view[0].page_size, 8192U);
    // Live: MEM_UNMAP of address 0 finds it (KERNEL 1.13).
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        if (request.handle == 20) self.put(request.address, std::uint64_t{5}); // N = 0: the fd list is the first part
        return 0;
    };
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 0);
    EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = 5, .vaddr = 0}).error, EINVAL);
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 0); // gives back what is gone: nothing happens
}

TEST_F(Invoke, a_dsp_that_gives_back_a_running_calls_buffer_hurts_nobody) {
    const UniqueFd buffer = heap(4096);
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        for (std::size_t i = 0; i < 16; ++i)
            self.put(request.address + fd_list_offset(Scalars{request.scalars}) + 8 * i, std::uint64_t{5});
        return 0;
    };
    const Argument argument{.pointer = a, .length = 1, .fd = 5, .file = &buffer, .vma = a};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(invoke(file, 20, Scalars::make(2, 1, 0), {argument}).result, 0);
}

TEST_F(Invoke, payloads_are_zero_filled_every_time) {
    const auto big = std::vector<std::byte>(6000, std::byte{0xEE});
    invoke(file, 20, Scalars::make(2, 1, 0), {{.pointer = a, .length = big.size(), .data = big}});
    invoke(file, 20, Scalars::make(2, 0, 1), {{.pointer = a, .length = 6000}});
    const auto& payload = dsp().received.back().payload;
    EXPECT_TRUE(std::all_of(payload.begin() + 512, payload.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(Invoke, payloads_beyond_the_arena_get_a_window_of_their_own) {
    hold(dsp());
    std::vector<Running> running;
    for (int i = 0; i < 3; ++i)
        running.push_back(start_invoke(file, 20, Scalars::make(2, 0, 1), {{.pointer = a, .length = 30U << 20}}));
    EXPECT_EQ(status()["windows"], 2);
    for (std::uint64_t context : {0x10U, 0x20U, 0x30U}) dsp().answer(context, 0);
    EXPECT_EQ(running[2].wait().outputs[0].second.size(), 30U << 20);
    running.clear();
    EXPECT_EQ(status()["windows"], 1);
}

TEST_F(Invoke, malformed_requests_are_told_apart) {
    const auto malformed = [&](std::span<const std::byte> body, std::vector<UniqueFd> fds, std::uint32_t flags) {
        return request_of(file, {.op = vdsp_op_invoke, .flags = flags}, {body.begin(), body.end()}, std::move(fds))
                   .wait()
                   .served == Served::malformed;
    };
    std::vector<UniqueFd> none;
    auto body = invoke_body(20, Scalars::make(2, 1, 0), {{.pointer = a, .length = 5, .data = text("hello")}}, none);
    for (std::size_t size = 0; size < body.size(); ++size)
        EXPECT_TRUE(malformed(std::span(body).first(size), {}, 0)) << size;
    body.push_back(std::byte{0});
    EXPECT_TRUE(malformed(body, {}, 0));
    EXPECT_TRUE(malformed(body, {}, vdsp_flag_bounce));
    body = invoke_body(20, Scalars::make(2, 1, 0), {{.pointer = a, .length = 5, .fd = 4, .index = 0}}, none);
    EXPECT_TRUE(malformed(body, {}, 0)); // an index without its fd
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    const UniqueFd writer(ends[1]);
    std::vector<UniqueFd> pipe;
    pipe.emplace_back(::dup(reader.get()));
    body = invoke_body(20, Scalars::make(2, 1, 0), {{.pointer = a, .length = 5}}, none);
    EXPECT_TRUE(malformed(body, std::move(pipe), vdsp_flag_bounce)); // it would block us
    EXPECT_TRUE(dsp().received.empty());
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 0);
}

TEST_F(Invoke, slots_are_taken_from_open_to_the_answer_of_release) {
    const auto second = open("fastrpc-cdsp-secure");
    const auto third = open("fastrpc-cdsp");
    EXPECT_EQ(third->client(), 3);
    EXPECT_EQ(driver->open("fastrpc-cdsp").error(), EBUSY);
    hold(dsp());
    const auto before = dsp().requests.load();
    std::thread closer([&] { close(second); });
    run_until([&] { return dsp().requests > before; });
    EXPECT_EQ(dsp().received.back().request.scalars, 0x01010000U);
    EXPECT_EQ(driver->open("fastrpc-cdsp").error(), EBUSY);
    dsp().answer(dsp().received.back().request.context, 0);
    closer.join();
    EXPECT_EQ(open("fastrpc-cdsp")->client(), 2);
}

TEST_F(Invoke, release_waits_for_calls_in_flight_and_carries_the_pd) {
    attach(file, VDSP_INIT_ATTACH_SNS);
    hold(dsp());
    Running running = start_invoke(file, 20, Scalars{0});
    const auto before = dsp().requests.load();
    const std::uint64_t context = dsp().received.back().request.context;
    driver->context().kernel_timeout_ms = 20;
    std::thread closer([&] { close(file); });
    run_until([&] { return ioctl(file, VDSP_MUNMAP, vdsp_munmap{}).error == EBADF; }); // closed, not released
    EXPECT_EQ(dsp().requests, before);
    EXPECT_FALSE(file->released());
    dsp().answer(context, 0);
    EXPECT_TRUE(running.wait().answered);
    closer.join(); // nobody answers: the kernel's bound ends it
    EXPECT_EQ(dsp().received.back().request.scalars, 0x01010000U);
    EXPECT_EQ(dsp().received.back().request.context & 15U, 2U);
    EXPECT_EQ(status()["slots_used"], 0);
    EXPECT_EQ(status()["contexts_abandoned"], 1);
}

TEST_F(Invoke, without_ids_a_close_ends_at_once_and_unsaid) {
    hold(dsp());
    std::vector<Running> running;
    for (int i = 0; i < 255; ++i) running.push_back(start_invoke(file, 20, Scalars{0}));
    const auto other = open("fastrpc-cdsp");
    const auto before = dsp().requests.load();
    close(other);
    EXPECT_TRUE(other->released());
    EXPECT_EQ(dsp().requests, before);
}

TEST_F(Invoke, nodes_follow_the_domain) {
    for (const char* name : {"fastrpc-cdsp", "fastrpc-cdsp-secure", "fastrpc-adsp-secure", "dma_heap/system"})
        EXPECT_TRUE(driver->exists(name)) << name;
    for (const char* name : {"fastrpc-adsp", "fastrpc-sdsp", "", "dma_heap", "fastrpc-cdsp/"})
        EXPECT_EQ(driver->open(name).error(), ENOENT) << name;
    file.reset(); // before its driver
    start({.domains = {{.domain = Domain::sdsp, .slots = 1, .secure = false}}, .heaps = {}});
    EXPECT_TRUE(driver->exists("fastrpc-sdsp"));
    EXPECT_FALSE(driver->exists("fastrpc-sdsp-secure"));
    EXPECT_FALSE(driver->exists("dma_heap/system"));
    EXPECT_EQ(ioctl(open("fastrpc-sdsp"), VDSP_INIT_CREATE, vdsp_init_create{}).result, 0); // no session rule there
}

} // namespace
} // namespace fastrpc::vdsp
