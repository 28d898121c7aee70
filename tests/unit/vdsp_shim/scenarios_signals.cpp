// Signals while a call is under way (KERNEL 1.14). The calls that reach the DSP are counted by the test.
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fastrpc::vdsp::client {
namespace {

// Without another, a handler that does nothing but interrupt.
void on(
    int number, int flags, void (*handler)(int) = [](int) {}) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    CHECK(sigaction(number, &action, nullptr) == 0);
}

void interrupted() {
    const int fd = device();
    on(SIGALRM, 0);
    const itimerval often{{0, 5000}, {0, 5000}};
    CHECK(setitimer(ITIMER_REAL, &often, nullptr) == 0);
    CHECK(fails(invoke(fd, block, 0, 0, {}), EINTR));
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    CHECK(invoke(fd, unblock, 0, 0, {}) == 0); // its late answer reaches nobody
    CHECK(echoes(fd, 100));
}

// A handler that runs before the wait has begun interrupts nothing.
void until_waiting(pid_t thread) {
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/syscall";
    for (;;) {
        std::ifstream file(path);
        long number = -1;
        if (file >> number && (number == SYS_recvmsg || number == SYS_ppoll)) return;
    }
}
// Blocks in the DSP, while another thread sends this one `signals` and then lets the calls go.
int signalled(int fd, const std::vector<int>& signals, bool release = true) {
    const pid_t process = getpid();
    const auto self = static_cast<pid_t>(syscall(SYS_gettid));
    std::thread sender([&] {
        bool asleep = false;
        for (const int signal : signals) {
            CHECK(asleep || invoke(fd, wait_for_sleeper, 0, 0, {}) == 0);
            until_waiting(self);
            CHECK(syscall(SYS_tgkill, process, self, signal) == 0);
            asleep = signal == SIGWINCH; // which wakes nobody
        }
        if (!release) return;
        CHECK(invoke(fd, wait_for_sleeper, 0, 0, {}) == 0);
        CHECK(invoke(fd, unblock, 0, 0, {}) == 0);
    });
    errno = 0;
    const int result = invoke(fd, block, 0, 0, {});
    const int error = errno;
    sender.join();
    errno = error;
    return result;
}
void restarted() {
    const int fd = device();
    on(SIGUSR1, SA_RESTART);
    CHECK(signalled(fd, {SIGUSR1, SIGUSR1}) == 0); // three runs
    CHECK(echoes(fd, 8));
}
void ended() {
    const int fd = device();
    CHECK(echoes(fd, 8)); // the channel is older than the handler
    on(SIGUSR1, 0);
    CHECK(fails(signalled(fd, {SIGUSR1}, false), EINTR));
    on(SIGUSR2, static_cast<int>(SA_RESETHAND)); // gone when it has run
    on(SIGUSR1, SA_RESTART);
    CHECK(fails(signalled(fd, {SIGUSR2}, false), EINTR));
    CHECK(echoes(fd, 8));
}
void told_apart() {
    const int fd = device();
    static std::atomic<int> first = 0;
    static std::atomic<int> second = 0;
    on(SIGUSR1, SA_RESTART, [](int) { ++first; });
    on(SIGUSR2, 0, [](int) { ++second; });
    CHECK(signalled(fd, {SIGUSR1}) == 0 && first == 1);                                         // two runs
    CHECK(fails(signalled(fd, {SIGUSR1, SIGUSR2}, false), EINTR) && first == 2 && second == 1); // two more
    CHECK(signalled(fd, {SIGWINCH, SIGUSR1}) == 0 && first == 3); // nobody notices the one: two more, once more
    CHECK(echoes(fd, 8));
}
void stopped() { // and goes on when the test lets it
    const int fd = device();
    const pid_t self = getpid();
    std::thread stopper([&] {
        CHECK(invoke(fd, wait_for_sleeper, 0, 0, {}) == 0);
        until_waiting(self);
        CHECK(kill(self, SIGSTOP) == 0);
    });
    CHECK(invoke(fd, block, 0, 0, {}) == 0);
    stopper.join();
}
void uninterruptible() {
    const int fd = device();
    on(SIGALRM, 0);
    const itimerval often{{0, 200}, {0, 200}};
    CHECK(setitimer(ITIMER_REAL, &often, nullptr) == 0);
    for (int i = 0; i < 200; ++i) CHECK(ioctl(fd, VDSP_INIT_ATTACH, nullptr) == 0);
    for (int i = 0; i < 50; ++i) close(device());
}

} // namespace

void add_signal_scenarios(Scenarios& scenarios) {
    scenarios.emplace("interrupted", interrupted);
    scenarios.emplace("restarted", restarted);
    scenarios.emplace("ended", ended);
    scenarios.emplace("told-apart", told_apart);
    scenarios.emplace("stopped", stopped);
    scenarios.emplace("uninterruptible", uninterruptible);
}

} // namespace fastrpc::vdsp::client
