// Calls with arguments above what a message carries: they go through a buffer of the library's, and nobody notices.
#include "client/arena.hpp"
#include "client/fastrpc.h"
#include "client/handles.hpp"
#include "ipc/aee.hpp"
#include "tests/unit/client/allocations.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/dma-buf.h>
#include <map>
#include <mutex>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

// What the library tells the kernel of the CPU's accesses; a memfd would refuse it.
std::mutex syncs_mutex;
std::vector<std::uint64_t> syncs;
std::atomic<int> fail_sync{0};

} // namespace

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
    va_list more;
    va_start(more, request);
    void* argument = va_arg(more, void*);
    va_end(more);
    if (request != DMA_BUF_IOCTL_SYNC) return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
    const std::lock_guard lock(syncs_mutex);
    syncs.push_back(static_cast<dma_buf_sync*>(argument)->flags);
    errno = fail_sync;
    return fail_sync != 0 ? -1 : 0;
}

namespace fastrpc::test {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t large = 200000;

Bytes counting(std::size_t size, unsigned start = 1) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(start + i + i / 251);
    return bytes;
}

Bytes inverted(Bytes bytes) {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(~byte);
    return bytes;
}

struct LargeCall : testing::Test {
    FakeHost host;
    fastrpc_error error{};

    LargeCall() {
        fail_sync = 0;
        syncs.clear();
    }
    int invoke(Bytes& in, Bytes& out, fastrpc_error* why) {
        const fastrpc_arg args[]{{in.data(), in.size(), nullptr, 0}, {out.data(), out.size(), nullptr, 0}};
        return fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 1, 1), args, 2, why);
    }
    int echo(std::size_t size, unsigned start = 1) {
        Bytes in = counting(size, start), out(size);
        const int code = invoke(in, out, &error);
        EXPECT_TRUE(code != 0 || out == inverted(in));
        return code;
    }
    void answer_with(std::vector<std::byte> payload) {
        host.on_lane = [payload = std::move(payload)](const Request& request) {
            if (request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::invoke)) return false;
            request.reply(payload);
            return true;
        };
    }
};

TEST_F(LargeCall, carries_arguments_of_any_size_in_and_out) {
    for (const std::size_t size : {max_inline + 1, std::size_t{100000}, std::size_t{1} << 20, std::size_t{5000001}})
        ASSERT_EQ(echo(size), 0) << size << ": " << error.text;
}

TEST_F(LargeCall, moves_only_what_does_not_fit_and_mixes_with_buffers) {
    std::vector<ArgumentDescriptor> seen;
    std::size_t payload = 0;
    host.on_lane = [&](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::invoke)) return false;
        seen.resize(4);
        std::memcpy(seen.data(), request.frame.payload.data() + sizeof(InvokeRequest), 4 * sizeof seen[0]);
        payload = request.frame.payload.size();
        return false;
    };
    fastrpc_buffer* buffer = nullptr;
    ASSERT_EQ(fastrpc_buffer_alloc(host.session(), 5000, &buffer, &error), 0);
    Bytes small = counting(100), big = counting(large), out(large + 100);
    const fastrpc_arg args[]{{small.data(), small.size(), nullptr, 0},
                             {big.data(), big.size(), nullptr, 0},
                             {out.data(), out.size(), nullptr, 0},
                             {nullptr, 5000, buffer, 0}};
    ASSERT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 2, 2), args, 4, &error), 0) << error.text;
    Bytes expected = inverted(small);
    const Bytes second = inverted(big);
    expected.insert(expected.end(), second.begin(), second.end());
    EXPECT_EQ(out, expected);
    EXPECT_EQ(seen[0].buffer, 0U);
    EXPECT_NE(seen[1].buffer, 0U);
    EXPECT_EQ(seen[1].buffer, seen[2].buffer) << "one buffer for all";
    EXPECT_GE(seen[2].offset, seen[1].offset + seen[1].length);
    EXPECT_NE(seen[3].buffer, seen[2].buffer);
    EXPECT_EQ(payload, sizeof(InvokeRequest) + 4 * sizeof(ArgumentDescriptor) + padded(100));
    EXPECT_EQ(fastrpc_buffer_free(buffer), 0);
}

TEST_F(LargeCall, carries_255_inputs_and_255_outputs_that_fit_no_message) {
    std::vector<Bytes> memory;
    std::vector<fastrpc_arg> args;
    for (unsigned i = 0; i < 510; ++i)
        memory.push_back(i < 255 ? counting(300 + i % 50, i) : Bytes(300 + (i - 255) % 50));
    for (auto& bytes : memory) args.push_back({bytes.data(), bytes.size(), nullptr, 0});
    ASSERT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 255, 255), args.data(), 510, &error), 0) << error.text;
    for (unsigned i = 0; i < 255; ++i) EXPECT_EQ(memory[255 + i], inverted(memory[i])) << i;
}

TEST_F(LargeCall, allocates_neither_here_nor_at_the_host_after_the_first) {
    Bytes in = counting(large), out(large);
    ASSERT_EQ(invoke(in, out, &error), 0) << error.text;
    const std::size_t before = allocations(), buffers = host.allocations_made();
    for (int i = 0; i < 50; ++i) ASSERT_EQ(invoke(in, out, &error), 0);
    EXPECT_EQ(allocations(), before);
    EXPECT_EQ(host.allocations_made(), buffers);
    EXPECT_EQ(buffers, 1U);
}

TEST_F(LargeCall, sizes_that_grow_slowly_make_few_buffers) {
    for (std::size_t size = 70000; size < 1000000; size += 20000) ASSERT_EQ(echo(size), 0) << error.text;
    EXPECT_LE(host.allocations_made(), 5U);
    EXPECT_EQ(host.buffers(), 1U) << "what is too small must be given back";
}

TEST_F(LargeCall, more_than_a_quarter_of_the_grant_is_not_kept) {
    ASSERT_EQ(echo(6U << 20), 0);
    EXPECT_EQ(host.buffers(), 1U) << "two times 6 MiB are 16 MiB of arena, and 64 are granted";
    ASSERT_EQ(echo(9U << 20), 0);
    EXPECT_EQ(host.buffers(), 0U);
}

TEST_F(LargeCall, gives_its_memory_to_a_program_that_wants_it) {
    ASSERT_EQ(echo(large), 0);
    host.granted = 1U << 20;
    fastrpc_buffer* buffer = nullptr;
    ASSERT_EQ(fastrpc_buffer_alloc(host.session(), 1U << 20, &buffer, &error), 0) << error.text;
    EXPECT_EQ(host.buffers(), 1U);
    // Now the call has nothing left, and says what it would take.
    EXPECT_EQ(echo(large), FASTRPC_EITEMBUSY);
    EXPECT_STREQ(error.name, "quota");
    EXPECT_NE(std::strstr(error.text, "400128 bytes"), nullptr) << error.text;
    EXPECT_NE(std::strstr(error.text, "67108864 are granted"), nullptr) << error.text;
    EXPECT_NE(std::strstr(error.text, "free buffers"), nullptr) << error.text;
    EXPECT_EQ(fastrpc_buffer_free(buffer), 0);
    EXPECT_EQ(echo(large), 0) << error.text;
}

TEST_F(LargeCall, takes_just_what_it_needs_when_memory_is_short) {
    host.granted = 402 << 10; // less than the next power of two
    ASSERT_EQ(echo(large), 0) << error.text;
    EXPECT_LE(host.mapped_bytes(), 402U << 10);
}

TEST_F(LargeCall, above_the_whole_grant_is_refused_without_asking) {
    Bytes in(65U << 20), out(1);
    EXPECT_EQ(invoke(in, out, &error), FASTRPC_EITEMBUSY);
    EXPECT_EQ(host.allocations_made(), 0U);
}

TEST_F(LargeCall, calls_at_once_share_what_memory_there_is) {
    host.module();            // opened by one thread
    host.granted = 900 << 10; // two arenas of 512 KiB do not fit
    std::atomic<unsigned> failed{0};
    {
        std::vector<std::jthread> threads;
        for (unsigned t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                for (unsigned i = 0; i < 30; ++i) {
                    Bytes in = counting(large, t * 50 + i), out(large);
                    if (invoke(in, out, nullptr) != 0 || out != inverted(in)) ++failed;
                }
            });
    }
    EXPECT_EQ(failed, 0U);
}

TEST_F(LargeCall, calls_that_wait_for_memory_that_nobody_has_all_fail) {
    host.module();
    host.granted = 4096;
    std::atomic<unsigned> refused{0};
    {
        std::vector<std::jthread> threads;
        for (unsigned t = 0; t < 6; ++t)
            threads.emplace_back([&] {
                for (unsigned i = 0; i < 20; ++i) {
                    Bytes in(large), out(1);
                    refused += invoke(in, out, nullptr) == FASTRPC_EITEMBUSY;
                }
            });
    }
    EXPECT_EQ(refused, 120U);
}

TEST_F(LargeCall, delivers_outputs_also_when_the_dsp_failed) {
    std::atomic<bool> spoil{false};
    host.on_lane = [&](const Request& request) {
        if (!spoil || request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::invoke)) return false;
        request.reply(invoke_reply(aee::on_dsp(aee::bad_parm), 0));
        return true;
    };
    Bytes in = counting(large), out(large, 7);
    ASSERT_EQ(invoke(in, out, &error), 0);
    const Bytes first = out;
    spoil = true;
    out.assign(large, 7);
    EXPECT_EQ(static_cast<std::uint32_t>(invoke(in, out, &error)), 0x8000040EU);
    EXPECT_EQ(out, first) << "what lies in the shared buffer is the DSP's output";
}

TEST_F(LargeCall, leaves_outputs_alone_when_the_call_was_refused) {
    std::atomic<bool> refuse{false};
    host.on_lane = [&](const Request& request) {
        if (!refuse) return false;
        request.refuse(ErrorKind::invalid, "no");
        return true;
    };
    ASSERT_EQ(echo(large), 0);
    refuse = true;
    Bytes in = counting(large), out(large, 7);
    EXPECT_EQ(invoke(in, out, &error), FASTRPC_EBADPARM);
    EXPECT_EQ(out, Bytes(large, 7));
}

TEST_F(LargeCall, brackets_its_copies_where_the_host_asks_for_it) {
    ASSERT_EQ(echo(large), 0);
    EXPECT_TRUE(syncs.empty());
    FakeHost noncoherent;
    noncoherent.needs_sync = true;
    Bytes in = counting(large), out(large);
    const fastrpc_arg args[]{{in.data(), in.size(), nullptr, 0}, {out.data(), out.size(), nullptr, 0}};
    ASSERT_EQ(fastrpc_invoke(noncoherent.module(), FASTRPC_SCALARS(2, 1, 1), args, 2, &error), 0) << error.text;
    EXPECT_EQ(syncs, (std::vector<std::uint64_t>{
                         DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_START, DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_END,
                         DMA_BUF_SYNC_READ | DMA_BUF_SYNC_START, DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END}));
    fail_sync = ENOTTY;
    EXPECT_NE(fastrpc_invoke(noncoherent.module(), FASTRPC_SCALARS(2, 1, 1), args, 2, &error), 0);
    EXPECT_NE(std::strstr(error.text, "DMA_BUF_IOCTL_SYNC"), nullptr) << error.text;
}

TEST_F(LargeCall, of_a_session_that_is_lost_says_why) {
    ASSERT_EQ(echo(large), 0);
    host.say_lost(ErrorKind::lost, "cdsp restarted");
    host.vanish();
    EXPECT_EQ(echo(large), FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.text, "the session is lost: cdsp restarted");
    EXPECT_EQ(echo(5 * large), FASTRPC_ECONNRESET);
}

struct BufferUse : LargeCall {
    fastrpc_buffer* buffer = nullptr;
    void allocate() { ASSERT_EQ(fastrpc_buffer_alloc(host.session(), 10000, &buffer, &error), 0) << error.text; }
    void TearDown() override { fastrpc_buffer_free(buffer); }
};

TEST_F(BufferUse, access_is_told_to_the_kernel_only_where_it_must_be) {
    allocate();
    EXPECT_EQ(fastrpc_buffer_begin(buffer, FASTRPC_READ | FASTRPC_WRITE, &error), 0);
    EXPECT_EQ(fastrpc_buffer_end(buffer, FASTRPC_READ | FASTRPC_WRITE, &error), 0);
    EXPECT_TRUE(syncs.empty());
    fastrpc_buffer_free(buffer);
    host.needs_sync = true;
    allocate();
    EXPECT_EQ(fastrpc_buffer_begin(buffer, FASTRPC_READ, &error), 0);
    EXPECT_EQ(fastrpc_buffer_end(buffer, FASTRPC_READ, &error), 0);
    EXPECT_EQ(syncs, (std::vector<std::uint64_t>{DMA_BUF_SYNC_READ, DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END}));
    for (const std::uint32_t access : {0U, 4U, 7U})
        EXPECT_EQ(fastrpc_buffer_begin(buffer, access, &error), FASTRPC_EBADPARM) << access;
    EXPECT_EQ(syncs.size(), 2U);
    fail_sync = EIO;
    EXPECT_NE(fastrpc_buffer_end(buffer, FASTRPC_WRITE, &error), 0);
}

TEST_F(BufferUse, is_mapped_once_and_unmapped) {
    allocate();
    std::uint64_t address = 1;
    ASSERT_EQ(fastrpc_buffer_map(buffer, FASTRPC_MAP_FD_DELAYED, 4096, &address, &error), 0) << error.text;
    EXPECT_EQ(address, std::uint64_t{4096} << 16 | FASTRPC_MAP_FD_DELAYED << 8 | 1) << "length, mode and id arrive";
    address = 1;
    EXPECT_EQ(fastrpc_buffer_map(buffer, FASTRPC_MAP_FD, 0, &address, &error), FASTRPC_ENOSESSION);
    EXPECT_STREQ(error.name, "busy");
    EXPECT_EQ(address, 0U);
    EXPECT_EQ(fastrpc_buffer_unmap(buffer, &error), 0) << error.text;
    EXPECT_EQ(fastrpc_buffer_unmap(buffer, &error), FASTRPC_EBADPARM) << "the driver's answer";
    EXPECT_EQ(fastrpc_buffer_map(buffer, FASTRPC_MAP_FD, 0, nullptr, &error), 0);
}

TEST_F(BufferUse, modes_and_lengths_that_do_not_exist_are_refused_here) {
    allocate();
    std::atomic<unsigned> asked{0};
    host.on_lane = [&](const Request&) {
        ++asked;
        return false;
    };
    for (const std::uint32_t mode : {1U, 4U, 15U, 17U, ~0U})
        EXPECT_EQ(fastrpc_buffer_map(buffer, mode, 0, nullptr, &error), FASTRPC_EBADPARM) << mode;
    EXPECT_EQ(fastrpc_buffer_map(buffer, FASTRPC_MAP_FD, 10001, nullptr, &error), FASTRPC_EBADPARM);
    EXPECT_EQ(asked, 0U);
}

TEST_F(BufferUse, a_map_answer_of_a_wrong_size_ends_the_lane_alone) {
    allocate();
    host.on_lane = [](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::map_buffer)) return false;
        request.reply(std::vector<std::byte>(15));
        return true;
    };
    EXPECT_EQ(fastrpc_buffer_map(buffer, FASTRPC_MAP_FD, 0, nullptr, &error), FASTRPC_ERPC);
    EXPECT_EQ(echo(10), 0) << error.text;
}

TEST_F(BufferUse, all_540_arguments_arrive_handles_last) {
    allocate();
    std::vector<fastrpc_arg> args(540);
    for (std::size_t i = 510; i < 540; ++i) args[i] = {nullptr, 10000 - i, buffer, i};
    ASSERT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS_HANDLES(2, 255, 255, 15, 15), args.data(), 540, &error), 0)
        << error.text;
    const auto handles = host.handles();
    ASSERT_EQ(handles.size(), 30U);
    for (std::size_t i = 0; i < 30; ++i) {
        EXPECT_EQ(handles[i].buffer, 1U);
        EXPECT_EQ(handles[i].offset, 510 + i);
        EXPECT_EQ(handles[i].length, 10000 - 510 - i);
    }
}

TEST_F(BufferUse, a_handle_of_no_bytes_is_still_a_handle) {
    allocate();
    const fastrpc_arg arg{nullptr, 0, buffer, 0};
    ASSERT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS_HANDLES(2, 0, 0, 0, 1), &arg, 1, &error), 0) << error.text;
    EXPECT_EQ(host.handles().at(0).buffer, 1U);
}

} // namespace
} // namespace fastrpc::test
