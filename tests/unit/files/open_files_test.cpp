// Numbers and positions of the files that a DSP has open.
#include "daemon/files/open_files.hpp"

#include "tests/support/scratch.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

namespace fastrpc::daemon {
namespace {

using From = OpenFile::From;
using test::Scratch;

OpenFile some_fd() {
    return OpenFile(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
}

TEST(OpenFiles, numbers_begin_at_100_and_the_lowest_free_one_is_taken) {
    OpenFiles files;
    EXPECT_EQ(files.add(some_fd()), 100);
    EXPECT_EQ(files.add(some_fd()), 101);
    EXPECT_EQ(files.add(some_fd()), 102);
    EXPECT_TRUE(files.take(101));
    EXPECT_TRUE(files.take(100));
    EXPECT_EQ(files.add(some_fd()), 100);
    EXPECT_EQ(files.add(some_fd()), 101);
    EXPECT_EQ(files.add(some_fd()), 103);
    EXPECT_EQ(files.count(), 4U);
}

TEST(OpenFiles, the_cap_holds_and_a_close_makes_room) {
    OpenFiles files(3);
    for (int i = 0; i < 3; ++i) EXPECT_GE(files.add(some_fd()), 100);
    const int refused = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(files.add(OpenFile(UniqueFd(refused))), -1);
    EXPECT_EQ(::fcntl(refused, F_GETFD), -1) << "the refused fd leaks";
    EXPECT_TRUE(files.take(101));
    EXPECT_EQ(files.add(some_fd()), 101);
}

TEST(OpenFiles, the_default_cap_is_256) {
    OpenFiles files;
    for (int i = 0; i < 256; ++i) ASSERT_EQ(files.add(some_fd()), 100 + i);
    EXPECT_EQ(files.add(some_fd()), -1);
}

TEST(OpenFiles, a_number_that_is_not_open_is_not_found) {
    OpenFiles files;
    files.add(some_fd());
    for (const std::int32_t number :
         {-1, 0, 3, 99, 101, 356, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
        EXPECT_EQ(files.find(number), nullptr) << number;
        EXPECT_FALSE(files.take(number)) << number;
    }
    EXPECT_NE(files.find(100), nullptr);
    EXPECT_TRUE(files.take(100));
    EXPECT_EQ(files.find(100), nullptr);
    EXPECT_FALSE(files.take(100));
    EXPECT_EQ(files.count(), 0U);
}

TEST(OpenFiles, closing_closes_the_fd) {
    OpenFiles files;
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    files.add(OpenFile(UniqueFd(fd)));
    static_cast<void>(files.take(100));
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

class Reading : public ::testing::Test {
protected:
    void open(std::string_view text) {
        scratch_.file("f", text);
        file_.emplace(scratch_.fd("f", O_RDONLY));
    }
    std::string read(std::size_t most) {
        std::string text(most, '#');
        last_ = file_->read(std::as_writable_bytes(std::span(text)));
        text.resize(last_.bytes);
        return text;
    }
    /// The whole buffer of a read_line.
    std::string line(std::size_t capacity) {
        std::string text(capacity, '#');
        last_ = file_->read_line(std::as_writable_bytes(std::span(text)));
        return text;
    }

    Scratch scratch_;
    std::optional<OpenFile> file_;
    OpenFile::Read last_;
};

TEST_F(Reading, the_end_is_told_only_by_a_short_read) {
    open("0123456789");
    EXPECT_EQ(read(4), "0123");
    EXPECT_FALSE(last_.end);
    EXPECT_EQ(read(6), "456789");
    EXPECT_FALSE(last_.end) << "the read was full";
    EXPECT_FALSE(file_->at_end());
    EXPECT_EQ(read(1), "");
    EXPECT_TRUE(last_.end);
    EXPECT_TRUE(file_->at_end());
    EXPECT_EQ(file_->position(), 10U);
}

TEST_F(Reading, a_short_read_gives_what_is_there_and_the_end) {
    open("0123");
    EXPECT_EQ(read(100), "0123");
    EXPECT_TRUE(last_.end);
    file_->clear();
    EXPECT_FALSE(file_->at_end());
    EXPECT_EQ(read(0), "");
    EXPECT_FALSE(last_.end);
}

TEST_F(Reading, a_file_that_grows_goes_on) {
    open("ab");
    EXPECT_EQ(read(10), "ab");
    scratch_.file("f", "abcd");
    EXPECT_EQ(read(10), "cd");
}

TEST_F(Reading, seeks_from_start_position_and_end) {
    open("0123456789");
    EXPECT_EQ(file_->seek(7, From::start), 0);
    EXPECT_EQ(read(1), "7");
    EXPECT_EQ(file_->seek(-3, From::position), 0);
    EXPECT_EQ(read(1), "5");
    EXPECT_EQ(file_->seek(-1, From::end), 0);
    EXPECT_EQ(read(5), "9");
    EXPECT_TRUE(file_->at_end());
    EXPECT_EQ(file_->seek(100, From::end), 0);
    EXPECT_FALSE(file_->at_end()) << "a seek leaves the end";
    EXPECT_EQ(file_->position(), 110U);
    EXPECT_EQ(read(1), "");
    EXPECT_TRUE(last_.end);
}

TEST_F(Reading, a_seek_to_nowhere_is_refused_and_moves_nothing) {
    open("0123456789");
    ASSERT_EQ(file_->seek(5, From::start), 0);
    EXPECT_EQ(file_->seek(-1, From::start), EINVAL);
    EXPECT_EQ(file_->seek(-6, From::position), EINVAL);
    EXPECT_EQ(file_->seek(-11, From::end), EINVAL);
    EXPECT_EQ(file_->seek(0, static_cast<From>(3)), EINVAL);
    EXPECT_EQ(file_->seek(0, static_cast<From>(0xFFFFFFFF)), EINVAL);
    EXPECT_EQ(file_->seek(std::numeric_limits<std::int64_t>::min(), From::position), EINVAL);
    EXPECT_EQ(file_->seek(std::numeric_limits<std::int64_t>::max(), From::position), EINVAL);
    EXPECT_EQ(file_->position(), 5U);
    EXPECT_EQ(file_->seek(std::numeric_limits<std::int64_t>::max(), From::start), 0);
    EXPECT_EQ(file_->seek(1, From::position), EINVAL);
}

TEST_F(Reading, an_error_is_told_and_stays_until_cleared) {
    file_.emplace(scratch_.fd()); // a directory cannot be read
    EXPECT_EQ(read(1), "");
    EXPECT_EQ(last_.error, EISDIR);
    EXPECT_EQ(file_->error(), EISDIR);
    EXPECT_EQ(line(4), std::string(4, '\0'));
    EXPECT_EQ(last_.error, EISDIR);
    file_->clear();
    EXPECT_EQ(file_->error(), 0);
}

TEST_F(Reading, a_line_ends_at_its_newline_at_the_buffer_or_at_the_end) {
    open("ab\ncdefgh\nxy");
    EXPECT_EQ(line(6), std::string("ab\n\0\0\0", 6)) << "nothing of the next line may show";
    EXPECT_EQ(line(4), std::string("cde\0", 4));
    EXPECT_EQ(line(6), std::string("fgh\n\0\0", 6));
    EXPECT_FALSE(last_.end);
    EXPECT_EQ(line(9), std::string("xy\0\0\0\0\0\0\0", 9));
    EXPECT_TRUE(last_.end);
    EXPECT_EQ(last_.bytes, 2U);
    EXPECT_EQ(line(3), std::string(3, '\0'));
    EXPECT_TRUE(last_.end);
    EXPECT_EQ(last_.bytes, 0U);
}

TEST_F(Reading, a_line_into_no_room_changes_nothing) {
    open("ab\n");
    EXPECT_EQ(line(0), "");
    EXPECT_EQ(line(1), std::string(1, '\0'));
    EXPECT_EQ(file_->position(), 0U);
    EXPECT_EQ(last_.error, 0);
}

} // namespace
} // namespace fastrpc::daemon
