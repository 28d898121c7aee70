// Threads that a driver leaves asleep are got out of their ioctls, and no other call is ever disturbed.
#include "daemon/device/accel.hpp"
#include "daemon/device/waiters.hpp"
#include "fake_kernel.hpp"

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <gtest/gtest.h>
#include <poll.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

/// Every ioctl waits in a real system call that only a signal ends.
class SleepingKernel : public Kernel {
public:
    SleepingKernel() {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        reading_ = UniqueFd(ends[0]);
        writing_ = UniqueFd(ends[1]);
    }
    int ioctl(int, unsigned long, void*) noexcept override {
        ++inside;
        pollfd never{reading_.get(), POLLIN, 0};
        const int result = ::poll(&never, 1, -1);
        const int saved = errno;
        --inside;
        errno = saved;
        return result;
    }
    std::atomic<int> inside = 0;

private:
    UniqueFd reading_;
    UniqueFd writing_;
};

void block_all_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

} // namespace

TEST(Waiters, every_blocked_thread_comes_out_and_says_that_the_node_is_gone) {
    SleepingKernel kernel;
    const auto device =
        make_accel(kernel, UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/accel/accel0", AccelGeneration::v1);
    std::vector<CallResult> results(16);
    std::vector<std::thread> callers;
    for (CallResult& result : results)
        callers.emplace_back([&] {
            block_all_signals();
            result = device->invoke(16, Scalars::make(2, 0, 0), {});
        });
    while (kernel.inside < 16) std::this_thread::yield();
    const auto begin = std::chrono::steady_clock::now();
    // With a pause, as hosts do it: a thread that is signalled without end comes to nothing else.
    while (!device->interrupt_waiters()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (std::thread& caller : callers) caller.join();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    for (const CallResult& result : results) {
        EXPECT_EQ(result.os_error, ENODEV);
        EXPECT_TRUE(result.gone());
    }
    // Nothing enters it any more.
    EXPECT_EQ(device->invoke(16, Scalars::make(2, 0, 0), {}).os_error, ENODEV);
    EXPECT_EQ(kernel.inside, 0);
}

TEST(Waiters, threads_that_enter_while_others_are_expelled_never_stay) {
    SleepingKernel kernel;
    for (int round = 0; round < 20; ++round) {
        const auto device = make_accel(kernel, UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/accel/accel0",
                                       AccelGeneration::rfc);
        std::vector<std::thread> callers;
        for (int i = 0; i < 4; ++i)
            callers.emplace_back([&] {
                block_all_signals();
                EXPECT_EQ(device->invoke(16, Scalars::make(2, 0, 0), {}).os_error, ENODEV);
            });
        std::atomic<bool> joined = false;
        std::thread evictor([&] {
            while (!joined) {
                device->interrupt_waiters();
                std::this_thread::sleep_for(std::chrono::microseconds(100)); // as above
            }
        });
        for (std::thread& caller : callers) caller.join();
        joined = true;
        evictor.join();
        EXPECT_TRUE(device->interrupt_waiters());
    }
}

TEST(Waiters, the_signal_is_blocked_outside_of_an_ioctl) {
    std::thread([] {
        block_all_signals();
        Waiters waiters;
        sigset_t now;
        {
            const Waiters::Stay stay(waiters);
            EXPECT_TRUE(stay.allowed());
            ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
            EXPECT_EQ(::sigismember(&now, SIGRTMAX - 1), 0);
            EXPECT_EQ(::sigismember(&now, SIGTERM), 1); // and no other one
            EXPECT_FALSE(waiters.expel());
        }
        ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
        EXPECT_EQ(::sigismember(&now, SIGRTMAX - 1), 1);
        EXPECT_TRUE(waiters.expel());
        const Waiters::Stay late(waiters);
        EXPECT_FALSE(late.allowed());
    }).join();
}
