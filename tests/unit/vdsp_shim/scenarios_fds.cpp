// Which numbers stand for an open device, and until when: copies, sweeps over all fds, the last close.
//
// One slot, that of adsp, tells when a file is really closed: until then the next open is refused.
#include "tests/support/pass_fd.hpp"
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace fastrpc::vdsp::client {
namespace {

// One slot: whatever keeps the file open is seen by the next open.
void lifetime() {
    constexpr const char* single = "/dev/fastrpc-adsp-secure";
    const auto busy = [] { return fails(open(single, O_RDWR), EBUSY); };
    for (int i = 0; i < 20; ++i) close(device(single)); // close returns when the slot is free
    int fd = device(single);
    CHECK(busy());
    const int copy = dup(fd);
    close(fd);
    CHECK(busy() && echoes(copy, 8));
    CHECK(in_child([&] {
              CHECK(echoes(copy, 8)); // another process, its own pointers
              close(copy);
          }) == 0);
    CHECK(busy() && echoes(copy, 8));
    close(copy);
    fd = device(single);

    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(test::send_fd(ends[0], fd));
    close(fd);
    CHECK(busy()); // it lives in the socket
    fd = test::receive_fd(ends[1]);
    CHECK(echoes(fd, 8));
    close(fd);
    CHECK(WIFSIGNALED(in_child([&] {
        CHECK(echoes(device(single), 8));
        raise(SIGKILL);
    })));
    while (busy()) {
    } // nobody waits for the release of a killed program
}

/// Leaves a file behind that it closed, and one that it did not.
void close_and_leave() {
    CHECK(close(device()) == 0);
    CHECK(echoes(device(), 10));
}

// A program that closes every fd it does not know must not confuse the shim.
void sweeping() {
    const int fd = device();
    CHECK(echoes(fd, 8));
    for (int other = fd + 1; other < 700; ++other) close(other);
    std::vector<int> taken;
    for (int i = 0; i < 600; ++i) taken.push_back(memfd_create("taken", MFD_CLOEXEC));
    CHECK(echoes(fd, 8));
    const int buffer = allocate(4096);
    struct statfs kind {};
    CHECK(fstatfs(buffer, &kind) == 0 && kind.f_type == 0x444d4142);
    for (const int one : taken) CHECK(lseek(one, 0, SEEK_END) == 0); // nothing was written into them
}

// The same with one system call, past libc even, and with what replaces fds.
void swept() {
    const int fd = device("/dev/fastrpc-adsp-secure");
    CHECK(echoes(fd, 8));
    CHECK(close_range(static_cast<unsigned>(fd) + 1, ~0U, 0) == 0 && echoes(fd, 8));
    closefrom(fd + 1);
    CHECK(echoes(fd, 8));
    CHECK(syscall(SYS_close_range, fd + 1, ~0U, 0) == 0 && echoes(fd, 8));
    const int file = memfd_create("file", MFD_CLOEXEC);
    for (int other = file + 1; other < 700; ++other) CHECK(dup2(file, other) == other);
    CHECK(echoes(fd, 8) && lseek(file, 0, SEEK_END) == 0);
    CHECK(close_range(static_cast<unsigned>(fd), ~0U, 0) == 0); // waits for the release: the one slot is free again
    CHECK(echoes(device("/dev/fastrpc-adsp-secure"), 8));
}

void duplicates() {
    const auto single = [] { return open("/dev/fastrpc-adsp-secure", O_RDWR); };
    const int fd = single();
    CHECK(fd >= 0 && fails(single(), EBUSY));
    rlimit limit{};
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 9000);
    const int high = dup2(fd, 9000);
    CHECK(high == 9000 && close(fd) == 0 && echoes(high, 8));
    const int copy = fcntl(high, F_DUPFD_CLOEXEC, 0);
    CHECK(copy >= 0 && close(high) == 0 && echoes(copy, 8) && fails(single(), EBUSY));
    const int null = open("/dev/null", O_RDWR);
    CHECK(dup2(null, copy) == copy); // the last copy goes
    const int next = single();
    CHECK(next >= 0 && dup3(null, next, O_CLOEXEC) == next && fcntl(next, F_GETFD) == FD_CLOEXEC);
    CHECK(fails(dup3(null, null, 0), EINVAL) && dup2(null, null) == null && fails(dup2(8999, next), EBADF));
    CHECK(single() >= 0);
}

} // namespace

void add_fd_scenarios(Scenarios& scenarios) {
    scenarios.emplace("lifetime", lifetime);
    scenarios.emplace("close-and-leave", close_and_leave);
    scenarios.emplace("sweeping", sweeping);
    scenarios.emplace("swept", swept);
    scenarios.emplace("duplicates", duplicates);
}

} // namespace fastrpc::vdsp::client
