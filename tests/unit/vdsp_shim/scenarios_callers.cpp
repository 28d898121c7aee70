// Who calls: threads side by side, children of every kind, a program that was born with the fd, one that is killed.
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fastrpc::vdsp::client {
namespace {

void threads() {
    const int fd = device();
    std::atomic<bool> returned = false;
    std::thread blocked([&] {
        CHECK(invoke(fd, block, 0, 0, {}) == 0);
        returned = true;
    });
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < 4; ++t)
        workers.emplace_back([fd, t] {
            const int own = device();
            for (unsigned i = 0; i < 500; ++i) CHECK(echoes(i % 2 != 0 ? own : fd, 1 + (i * 37 + t) % 3000, t + i));
        });
    for (auto& worker : workers) worker.join();
    CHECK(!returned);
    while (!returned) CHECK(invoke(fd, unblock, 0, 0, {}) == 0);
    blocked.join();
}

// It shares our memory, not our fds.
void child_in_our_memory(int fd) {
    const pid_t child = vfork();
    if (child == 0) {
        close(fd);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}
// Children of every kind, made while another thread is in a call.
void children() {
    const int fd = device();
    std::thread blocked([&] { CHECK(invoke(fd, block, 0, 0, {}) == 0); });
    CHECK(invoke(fd, wait_for_sleeper, 0, 0, {}) == 0);
    for (int i = 0; i < 20; ++i) {
        CHECK(in_child([&] { CHECK(echoes(fd, 100)); }) == 0);
        const pid_t plain = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); // libc knows nothing of it
        if (plain == 0) {
            CHECK(echoes(fd, 100));
            std::_Exit(0);
        }
        int status = 0;
        CHECK(waitpid(plain, &status, 0) == plain && status == 0);
        child_in_our_memory(fd);
        CHECK(echoes(fd, 100));
    }
    CHECK(invoke(fd, unblock, 0, 0, {}) == 0);
    blocked.join();
}

// HEXAGONRPC_FD of client-traces 5: a child calls on an fd that it never opened.
void inherit() {
    const int fd = open("/dev/fastrpc-adsp-secure", O_RDWR);
    CHECK(fd >= 0 && echoes(fd, 8));
    setenv("HEXAGONRPC_FD", std::to_string(fd).c_str(), 1);
    const int status = in_child([] {
        execl("/proc/self/exe", "client", "use-inherited", static_cast<char*>(nullptr));
        CHECK(false);
    });
    CHECK(status == 0 && echoes(fd, 8));
}
void use_inherited() {
    const int fd = std::atoi(std::getenv("HEXAGONRPC_FD"));
    CHECK(echoes(fd, 8) && close(fd) == 0);
    CHECK(fails(open("/dev/fastrpc-adsp-secure", O_RDWR), EBUSY)); // the parent's copy
}

void hang() {
    const int fd = device();
    invoke(fd, block, 0, 0, {});
    CHECK(false);
}

} // namespace

void add_caller_scenarios(Scenarios& scenarios) {
    scenarios.emplace("threads", threads);
    scenarios.emplace("children", children);
    scenarios.emplace("inherit", inherit);
    scenarios.emplace("use-inherited", use_inherited);
    scenarios.emplace("hang", hang);
}

} // namespace fastrpc::vdsp::client
