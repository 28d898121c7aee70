#include "base/log.hpp"
#include "base/result.hpp"
#include "base/scheduling.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

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

TEST(Log, no_text_or_value_can_end_the_line_or_pass_for_another_field) {
    testing::internal::CaptureStderr();
    log::open("test");
    log::info("a\nfastrpcd: error: forged", {{"LABEL", "x\ny FASTRPC_DECISION=allow\" Z=1"}, {"NEXT", "word"}});
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "test: info: a\\x0afastrpcd: error: forged LABEL=\"x\\x0ay "
                                                      "FASTRPC_DECISION=allow\\x22 Z=1\" NEXT=word\n");
}

// The kernel tells the length of a thread's turns since it lets a thread choose it (Linux 6.12), else 0.
TEST(ShortTurns, are_the_threads_and_those_that_it_starts_and_its_urgency_stays) {
    struct Known {
        std::uint64_t turn = 0;
        int nice = -1;
    };
    const auto look = [] {
        struct { // sched_attr; its header and the C library's own get into each other's way
            std::uint32_t size, policy;
            std::uint64_t flags;
            std::int32_t nice;
            std::uint32_t priority;
            std::uint64_t runtime, deadline, period;
        } found{};
        EXPECT_EQ(::syscall(SYS_sched_getattr, 0, &found, sizeof found, 0), 0);
        return Known{found.runtime, found.nice};
    };
    Known before, after, started;
    std::thread([&] {
        EXPECT_EQ(::setpriority(PRIO_PROCESS, 0, 5), 0);
        before = look();
        EXPECT_TRUE(take_short_turns());
        after = look();
        std::thread([&] { started = look(); }).join();
    }).join();
    EXPECT_EQ(after.nice, 5);
    EXPECT_EQ(after.turn, before.turn == 0 ? 0U : 100'000U);
    EXPECT_EQ(started.turn, after.turn);
    EXPECT_EQ(look().nice, 0) << "of that thread alone";
}

TEST(ShortTurns, leave_a_thread_alone_whose_policy_somebody_chose) {
    std::thread([] {
        const sched_param none{};
        ASSERT_EQ(::sched_setscheduler(0, SCHED_BATCH, &none), 0);
        EXPECT_FALSE(take_short_turns());
        EXPECT_EQ(::sched_getscheduler(0), SCHED_BATCH);
    }).join();
}
