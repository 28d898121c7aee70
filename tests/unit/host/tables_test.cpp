// The tables that clients name things in, and the histogram.
#include "daemon/host/buffer_table.hpp"
#include "daemon/host/histogram.hpp"
#include "daemon/host/module_table.hpp"
#include "fake_dsp.hpp"

#include <atomic>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint64_t page = 4096;

struct Buffers : testing::Test {
    FakeHeap heap;
    FakeDsp dsp;
    std::unique_ptr<Device> device = dsp.open();
    MemoryBudget budget{16 * page};
    BufferTable table{heap, *device, 4, budget};

    std::uint32_t add(std::uint64_t size) {
        UniqueFd share;
        return table.allocate(size, share).value().id;
    }
};

} // namespace

TEST_F(Buffers, an_allocation_is_whole_pages_shared_with_the_client) {
    UniqueFd share;
    const auto added = table.allocate(5000, share);
    ASSERT_TRUE(added);
    EXPECT_NE(added->id, 0U);
    EXPECT_EQ(added->size, 2 * page);
    EXPECT_EQ(dma_buf_size(share.get()).value(), 2 * page);
    EXPECT_EQ(::fcntl(share.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(table.count(), 1U);
    EXPECT_EQ(budget.used(), 2 * page);
}

TEST_F(Buffers, a_stale_id_never_names_a_later_buffer) {
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 100; ++i) {
        const std::uint32_t id = add(page);
        EXPECT_TRUE(seen.insert(id).second);
        ASSERT_TRUE(table.free(id));
        std::uint64_t size = 0;
        EXPECT_FALSE(table.pin(id, size));
        EXPECT_EQ(table.free(id).error().kind, ErrorKind::not_found);
    }
    EXPECT_EQ(table.count(), 0U);
    EXPECT_EQ(budget.used(), 0U);
}

TEST_F(Buffers, unknown_ids_find_nothing) {
    add(page);
    std::uint64_t size = 0;
    for (const std::uint32_t id : {0U, 1U, 4095U, 4096U * 7, 0xFFFFFFFFU}) {
        EXPECT_FALSE(table.pin(id, size)) << id;
        EXPECT_EQ(table.free(id).error().kind, ErrorKind::not_found) << id;
    }
}

TEST_F(Buffers, a_buffer_in_use_is_not_freed) {
    const std::uint32_t id = add(page);
    std::uint64_t size = 0;
    ASSERT_TRUE(table.pin(id, size));
    ASSERT_TRUE(table.pin(id, size));
    table.unpin(id);
    EXPECT_EQ(table.free(id).error().kind, ErrorKind::busy);
    EXPECT_EQ(dsp.mapped, 1);
    table.unpin(id);
    EXPECT_TRUE(table.free(id));
    EXPECT_EQ(dsp.mapped, 0);
}

TEST_F(Buffers, the_grant_bounds_their_number_and_their_bytes) {
    for (int i = 0; i < 3; ++i) add(4 * page);
    UniqueFd share;
    EXPECT_EQ(table.allocate(4 * page + 1, share).error().kind, ErrorKind::quota);
    EXPECT_FALSE(share);
    const std::uint32_t last = add(4 * page);
    EXPECT_EQ(table.allocate(1, share).error().kind, ErrorKind::quota);
    ASSERT_TRUE(table.free(last));
    EXPECT_TRUE(table.allocate(1, share));
    EXPECT_EQ(table.allocate(1, share).error().kind, ErrorKind::quota); // four buffers
}

TEST_F(Buffers, absurd_sizes_are_refused) {
    UniqueFd share;
    for (const std::uint64_t size :
         {std::uint64_t{0}, std::uint64_t{1} << 63, std::numeric_limits<std::uint64_t>::max(),
          std::numeric_limits<std::uint64_t>::max() - 4095})
        EXPECT_EQ(table.allocate(size, share).error().kind, ErrorKind::invalid) << size;
}

TEST_F(Buffers, only_a_dma_buf_can_be_registered) {
    UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 2 * page), 0);
    const auto added = table.adopt(std::move(memory), page);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().kind, ErrorKind::invalid);
    EXPECT_NE(added.error().text.find("dma-buf"), std::string::npos);
    EXPECT_FALSE(table.adopt(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), page));
    EXPECT_EQ(budget.used(), 0U);
}

TEST_F(Buffers, a_registered_buffer_is_charged_whole_and_used_as_claimed) {
    auto fd = heap.allocate(4 * page);
    const auto added = table.adopt(std::move(*fd), page + 1);
    ASSERT_TRUE(added);
    EXPECT_EQ(added->size, page + 1);
    EXPECT_EQ(budget.used(), 4 * page);
    std::uint64_t size = 0;
    ASSERT_TRUE(table.pin(added->id, size));
    EXPECT_EQ(size, page + 1);
    table.unpin(added->id);
}

TEST_F(Buffers, a_claim_above_the_real_size_is_refused) {
    for (const std::uint64_t claim : {std::uint64_t{0}, 2 * page + 1, std::numeric_limits<std::uint64_t>::max()}) {
        auto fd = heap.allocate(2 * page);
        EXPECT_EQ(table.adopt(std::move(*fd), claim).error().kind, ErrorKind::invalid) << claim;
    }
}

TEST_F(Buffers, bytes_that_can_not_be_mapped_can_not_be_claimed) {
    auto fd = heap.allocate(page + 100);
    EXPECT_EQ(table.adopt(std::move(*fd), page + 1).error().kind, ErrorKind::invalid);
    fd = heap.allocate(100);
    EXPECT_EQ(table.adopt(std::move(*fd), 100).error().kind, ErrorKind::invalid);
    fd = heap.allocate(page + 100);
    EXPECT_TRUE(table.adopt(std::move(*fd), page));
}

TEST_F(Buffers, what_the_dsp_still_has_is_not_freed) {
    const std::uint32_t id = add(page);
    dsp.keeps_buffers = true;
    EXPECT_EQ(table.free(id).error().kind, ErrorKind::busy);
    std::uint64_t size = 0;
    ASSERT_TRUE(table.pin(id, size)); // nothing changed
    table.unpin(id);
    EXPECT_EQ(table.count(), 1U);
    dsp.keeps_buffers = false;
    EXPECT_TRUE(table.free(id));
    EXPECT_EQ(dsp.mapped, 0);
}

TEST_F(Buffers, a_memory_file_that_stands_for_a_dma_buf_needs_no_sync) {
    UniqueFd share;
    EXPECT_FALSE(table.allocate(page, share)->needs_sync);
    // A pipe's end has no seals, as a real dma-buf.
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd in(pipe[0]);
    const UniqueFd out(pipe[1]);
    EXPECT_TRUE(needs_sync(in.get()));
}

TEST_F(Buffers, pins_and_frees_of_many_threads_never_meet) {
    std::atomic<bool> stop = false;
    std::atomic<std::uint32_t> current = add(page);
    std::atomic<int> pinned = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i)
        callers.emplace_back([&] {
            while (!stop) {
                const std::uint32_t id = current;
                std::uint64_t size = 0;
                if (!table.pin(id, size)) continue;
                ++pinned;
                EXPECT_EQ(dsp.mapped, 1); // known as long as we hold it
                table.unpin(id);
                std::this_thread::yield(); // or nobody could ever free it
            }
        });
    for (int freed = 0; freed < 50;) {
        const std::uint32_t old = current;
        if (!table.free(old)) {
            std::this_thread::yield();
            continue;
        }
        ++freed;
        current = add(page);
    }
    while (pinned == 0) std::this_thread::yield();
    stop = true;
    for (std::thread& caller : callers) caller.join();
}

TEST(Modules, a_client_handle_is_never_a_number_of_the_dsp) {
    ModuleTable table;
    for (std::uint32_t raw = 0; raw <= 255; ++raw) {
        std::uint32_t dsp = 0;
        EXPECT_FALSE(table.pin(raw, dsp)) << raw;
        EXPECT_EQ(table.retire(raw).error().kind, ErrorKind::not_found) << raw;
    }
    for (int i = 0; i < 10; ++i) EXPECT_GT(table.reserve("a").value(), 255U);
}

TEST(Modules, a_closed_handle_stays_closed) {
    ModuleTable table;
    const std::uint32_t id = table.reserve("file:///liba_skel.so?a").value();
    std::uint32_t dsp = 0;
    EXPECT_FALSE(table.pin(id, dsp)); // not open yet
    table.publish(id, 0x5000);
    ASSERT_TRUE(table.pin(id, dsp));
    EXPECT_EQ(dsp, 0x5000U);
    EXPECT_EQ(table.retire(id).error().kind, ErrorKind::busy);
    table.unpin(id);
    EXPECT_EQ(table.retire(id).value(), 0x5000U);
    EXPECT_FALSE(table.pin(id, dsp));
    table.abandon(id);
    EXPECT_NE(table.reserve("b").value(), id);
    EXPECT_FALSE(table.pin(id, dsp));
}

TEST(Modules, a_full_table_says_so_and_frees_up) {
    ModuleTable table;
    std::uint32_t id = 0;
    for (std::uint32_t i = 0; i < ModuleTable::Ids::slots; ++i) id = table.reserve("m").value();
    EXPECT_EQ(table.reserve("m").error().kind, ErrorKind::quota);
    table.abandon(id);
    EXPECT_TRUE(table.reserve("m"));
}

TEST(Modules, people_read_the_file_of_a_uri) {
    EXPECT_EQ(module_name("file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=cdsp"), "libtest_skel.so");
    EXPECT_EQ(module_name("file:///sub/libx.so"), "libx.so");
    EXPECT_EQ(module_name("adsp_default_listener"), "adsp_default_listener");
    EXPECT_EQ(module_name("a\nb"), "a?b");
    EXPECT_LE(module_name(std::string(1000, 'x')).size(), 80U);
}

TEST(Histogram, every_value_lies_in_its_bucket_within_one_sixteenth) {
    for (std::uint64_t value = 0; value < (std::uint64_t{1} << 40); value = value * 17 / 16 + 1) {
        const std::size_t bucket = Histogram::bucket(value);
        ASSERT_LT(bucket, Histogram::buckets);
        EXPECT_GE(Histogram::upper(bucket), value);
        EXPECT_LE(Histogram::upper(bucket), value + value / 16);
        if (bucket > 0) {
            EXPECT_LT(Histogram::upper(bucket - 1), value);
        }
    }
    EXPECT_EQ(Histogram::bucket(std::numeric_limits<std::uint64_t>::max()), Histogram::buckets - 1);
}

TEST(Histogram, percentiles_are_those_of_the_recorded_values) {
    Histogram histogram;
    Histogram::Counts counts{};
    EXPECT_EQ(percentile(counts, 50), 0U);
    for (std::uint64_t i = 1; i <= 100; ++i) histogram.record(i * 1000);
    histogram.add_to(counts);
    EXPECT_NEAR(static_cast<double>(percentile(counts, 50)), 50'000, 50'000 / 16.0);
    EXPECT_NEAR(static_cast<double>(percentile(counts, 99)), 99'000, 99'000 / 16.0);
    EXPECT_NEAR(static_cast<double>(percentile(counts, 100)), 100'000, 100'000 / 16.0);
}

TEST(Histogram, one_slow_call_in_a_hundred_shows_above_p99_alone) {
    Histogram histogram;
    for (int i = 0; i < 99; ++i) histogram.record(10'000);
    histogram.record(5'000'000);
    Histogram::Counts counts{};
    histogram.add_to(counts);
    EXPECT_LT(percentile(counts, 99), 11'000U);
    EXPECT_GT(percentile(counts, 100), 4'900'000U);
}
