// The reader of the log ring, against writers that keep the rules and ones that don't.
#include "daemon/reverse/log_ring.hpp"

#include "daemon/device/heap.hpp"
#include "tests/unit/device/fake_kernel.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace fastrpc::daemon {
namespace {

constexpr std::uint64_t ring_size = 8192;
constexpr std::uint64_t capacity = ring_size - 4;

using Lines = std::vector<std::string>;

class Ring : public ::testing::Test {
protected:
    Ring() :
        memory_(memory_file(ring_size)),
        base_(static_cast<char*>(::mmap(nullptr, ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0))),
        ring_(std::move(*SharedView::map(memory_.get(), ring_size, false))) {}
    ~Ring() override { ::munmap(base_, ring_size); }

    void set_index(std::uint32_t index) {
        std::atomic_ref(*reinterpret_cast<std::uint32_t*>(base_ + capacity)).store(index, std::memory_order_release);
    }
    /// As the DSP does: the text and a NUL, then the index.
    void put(std::string_view text, bool nul = true) {
        for (const char letter : text) put_byte(letter);
        if (nul) put_byte('\0');
        set_index(static_cast<std::uint32_t>(at_));
    }
    void put_byte(char letter) {
        base_[at_] = letter;
        at_ = (at_ + 1) % capacity;
    }
    Lines read() {
        Lines lines;
        read_ = ring_.read([&](std::string_view text) { lines.emplace_back(text); });
        return lines;
    }

    UniqueFd memory_;
    char* base_;
    std::uint64_t at_ = 0;
    LogRing ring_;
    Result<std::uint64_t> read_ = 0;
};

TEST_F(Ring, lines_come_in_order_and_once) {
    EXPECT_EQ(read(), Lines{});
    EXPECT_EQ(read_.value(), 0U);
    put("first");
    put("");
    put("");
    put("second");
    EXPECT_EQ(read(), (Lines{"first", "second"}));
    EXPECT_EQ(read_.value(), 15U);
    EXPECT_EQ(read(), Lines{});
}

TEST_F(Ring, goes_round_without_losing_a_byte) {
    for (int i = 0; i < 1000; ++i) {
        const std::string line = "line " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 200), 'x');
        put(line);
        ASSERT_EQ(read(), Lines{line});
    }
}

TEST_F(Ring, a_line_that_is_not_finished_waits_for_its_end) {
    put("hello ", false);
    EXPECT_EQ(read(), Lines{});
    put("world");
    EXPECT_EQ(read(), Lines{"hello world"});
    put("cut", false);
    EXPECT_EQ(read(), Lines{});
    Lines rest;
    const auto sink = [&](std::string_view text) { rest.emplace_back(text); };
    ring_.flush(sink);
    ring_.flush(sink);
    EXPECT_EQ(rest, Lines{"cut"});
}

TEST_F(Ring, a_line_that_never_ends_comes_in_pieces_and_loses_nothing) {
    put(std::string(600, 'a'));
    EXPECT_EQ(read(), (Lines{std::string(256, 'a'), std::string(256, 'a'), std::string(88, 'a')}));
    put(std::string(256, 'b'));
    put("c");
    EXPECT_EQ(read(), (Lines{std::string(256, 'b'), "c"}));
    std::fill(base_, base_ + capacity, 'x'); // never a NUL
    set_index(static_cast<std::uint32_t>((at_ + capacity - 1) % capacity));
    for (const std::string& line : read()) EXPECT_EQ(line, std::string(256, 'x'));
    EXPECT_EQ(read_.value(), capacity - 1);
}

TEST_F(Ring, an_index_outside_the_ring_ends_it_each_time) {
    for (const std::uint32_t index : {static_cast<std::uint32_t>(capacity), static_cast<std::uint32_t>(capacity + 1),
                                      static_cast<std::uint32_t>(ring_size), 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
        set_index(index);
        EXPECT_EQ(read(), Lines{}) << index;
        ASSERT_FALSE(read_) << index;
        EXPECT_EQ(read_.error().kind, ErrorKind::protocol);
    }
    set_index(static_cast<std::uint32_t>(capacity - 1));
    read();
    EXPECT_EQ(read_.value(), capacity - 1);
    set_index(0);
    read();
    EXPECT_EQ(read_.value(), 1U);
}

TEST_F(Ring, one_read_is_bounded_however_the_index_runs) {
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        std::minstd_rand random(1); // NOLINT: the same each time
        while (!stop) {
            const auto value = static_cast<std::uint32_t>(random());
            base_[value % capacity] = static_cast<char>(value >> 8 & 1 ? value : 0);
            set_index(value % static_cast<std::uint32_t>(capacity));
        }
    });
    for (int i = 0; i < 2000; ++i) {
        std::uint64_t characters = 0;
        const auto result = ring_.read([&](std::string_view text) {
            ASSERT_FALSE(text.empty());
            ASSERT_LE(text.size(), LogRing::longest_line);
            characters += text.size();
        });
        ASSERT_TRUE(result);
        ASSERT_LE(*result, capacity);
        ASSERT_LE(characters, *result + LogRing::longest_line);
    }
    stop = true;
    writer.join();
}

TEST_F(Ring, an_index_that_moves_in_and_out_is_judged_each_time) {
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (std::uint32_t i = 0; !stop; ++i)
            set_index(i % 3 == 0 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(i % capacity));
    });
    for (int i = 0; i < 2000; ++i) {
        const auto result = ring_.read([](std::string_view) {});
        if (!result) {
            EXPECT_EQ(result.error().kind, ErrorKind::protocol);
        }
    }
    stop = true;
    writer.join();
}

TEST(LogRingSize, a_ring_needs_room_and_whole_words) {
    const UniqueFd memory = memory_file(4096);
    EXPECT_THROW(LogRing(std::move(*SharedView::map(memory.get(), 4, false))), std::invalid_argument);
    EXPECT_THROW(LogRing(std::move(*SharedView::map(memory.get(), 4095, false))), std::invalid_argument);
    EXPECT_NO_THROW(LogRing(std::move(*SharedView::map(memory.get(), 8, false))));
}

} // namespace
} // namespace fastrpc::daemon
