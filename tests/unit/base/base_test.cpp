#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>

using namespace fastrpc;

TEST(UniqueFd, closes_its_fd_exactly_once) {
    int raw = -1;
    {
        UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        raw = fd.get();
        UniqueFd moved(std::move(fd));
        EXPECT_FALSE(fd);
        EXPECT_EQ(moved.get(), raw);
        EXPECT_EQ(::fcntl(raw, F_GETFD), FD_CLOEXEC);
    }
    EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST(Result, an_errno_failure_says_what_and_why) {
    const Status status = fail_errno("opening /x", ENOENT);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::system);
    EXPECT_EQ(status.error().os_error, ENOENT);
    EXPECT_EQ(status.error().text, "opening /x: No such file or directory");
}

TEST(Result, every_kind_has_its_own_word) {
    for (int a = 0; a <= static_cast<int>(ErrorKind::dsp); ++a) {
        EXPECT_NE(to_string(static_cast<ErrorKind>(a)), "unknown");
        for (int b = 0; b < a; ++b)
            EXPECT_NE(to_string(static_cast<ErrorKind>(a)), to_string(static_cast<ErrorKind>(b)));
    }
}
