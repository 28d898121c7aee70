#include "base/log.hpp"
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

TEST(Log, a_line_of_somebody_else_has_its_own_identifier_and_is_never_held_back) {
    testing::internal::CaptureStderr();
    log::open("test", log::Level::error);
    log::warning("ours");
    const log::Field field{"FASTRPC_PD", "root"};
    log::write_as("fastrpc-dsp", log::Level::debug, "theirs", std::span(&field, 1));
    log::write_as("fastrpc-dsp", log::Level::critical, "fatal");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "fastrpc-dsp: debug: theirs FASTRPC_PD=root\nfastrpc-dsp: critical: fatal\n");
}
