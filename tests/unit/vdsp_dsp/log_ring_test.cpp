// The ring of log lines, read as the daemons of USERSPACE 7.3 read it.
#include "vdsp/dsp/pd/log_ring.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace fastrpc::vdsp {
namespace {

class Reader {
public:
    explicit Reader(std::size_t size) : words_(size / 4, 0x5A5A5A5AU), ring(memory()) {}
    std::span<std::byte> memory() { return std::as_writable_bytes(std::span(words_)); }
    std::uint32_t write_index() const { return words_.back(); }

    /// Everything between the read index and the write index.
    std::vector<std::string> read() {
        const std::size_t capacity = memory().size() - 4;
        std::vector<std::string> lines;
        EXPECT_LT(write_index(), capacity);
        std::string line;
        for (; at_ != write_index(); at_ = (at_ + 1) % capacity) {
            const char letter = static_cast<char>(memory()[at_]);
            if (letter != '\0')
                line += letter;
            else if (!line.empty())
                lines.push_back(std::exchange(line, {}));
        }
        EXPECT_EQ(line, "") << "the last line has no end";
        return lines;
    }

private:
    std::vector<std::uint32_t> words_;
    std::size_t at_ = 0;

public:
    LogRing ring;
};

using Lines = std::vector<std::string>;

TEST(LogRing, begins_empty_and_hands_over_lines_in_their_order) {
    Reader reader(1024);
    EXPECT_EQ(reader.write_index(), 0U);
    EXPECT_FALSE(reader.ring.has_news());
    reader.ring.write("first");
    reader.ring.write("");
    reader.ring.write("second");
    EXPECT_TRUE(reader.ring.has_news());
    EXPECT_EQ(reader.ring.take(), 13U);
    EXPECT_FALSE(reader.ring.has_news());
    EXPECT_EQ(reader.read(), (Lines{"first", "second"}));
}

TEST(LogRing, goes_round_without_losing_a_byte) {
    Reader reader(1024);
    for (int i = 0; i < 1000; ++i) {
        const std::string line = "line " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 200), 'x');
        reader.ring.reader_waits();
        reader.ring.write(line);
        reader.ring.take();
        ASSERT_EQ(reader.read(), Lines{line});
    }
}

TEST(LogRing, never_overwrites_what_may_be_unread_and_says_what_it_lost) {
    Reader reader(1024);
    const std::string line(99, 'a');
    for (int i = 0; i < 30; ++i) reader.ring.write(line);
    reader.ring.take();
    reader.ring.write(line); // told of, but not known to be read
    EXPECT_EQ(reader.read().size(), 10U);
    reader.ring.reader_waits();
    reader.ring.write("again");
    EXPECT_EQ(reader.read(), (Lines{"21 log lines were lost: nobody read", "again"}));
}

TEST(LogRing, cuts_a_line_at_what_readers_copy_and_at_its_nul) {
    Reader reader(1024);
    reader.ring.write(std::string(1000, 'b'));
    reader.ring.write(std::string_view("ab\0cd", 5));
    EXPECT_EQ(reader.read(), (Lines{std::string(max_log_line - 1, 'b'), "ab"}));
}

TEST(LogRing, a_dsp_without_manners_overwrites_any_part_of_it_and_calls_that_news) {
    std::array<std::byte, 1024> memory{};
    LogRing ring(memory);
    const std::array<std::byte, 4> word{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    EXPECT_TRUE(ring.poke(-4, word));
    EXPECT_TRUE(ring.has_news());
    EXPECT_TRUE(std::ranges::equal(std::span(memory).last(4), word));
    EXPECT_TRUE(ring.poke(1018, word));
    EXPECT_EQ(memory[1018], std::byte{1});
    EXPECT_FALSE(ring.poke(1021, word));
    EXPECT_FALSE(ring.poke(-1025, word));
    EXPECT_FALSE(ring.poke(-3, word));
}

} // namespace
} // namespace fastrpc::vdsp
