// Nodes and open devices as files: what stat, poll, read and the like make of them (KERNEL 1.1, 1.10).
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::vdsp::client {
namespace {

void nodes() {
    CHECK(open("/dev/fastrpc-adsp", O_RDWR) == -1 && errno == ENOENT);
    struct stat status {};
    CHECK(stat("/dev/fastrpc-cdsp-secure", &status) == 0 && S_ISCHR(status.st_mode));
    CHECK(lstat("/dev/fastrpc-cdsp", &status) == 0 && S_ISCHR(status.st_mode));
    CHECK(stat("/dev/fastrpc-adsp", &status) == -1 && errno == ENOENT);
    CHECK(stat("/dev/null", &status) == 0);
    CHECK(access("/dev/fastrpc-cdsp", R_OK | W_OK) == 0);
    CHECK(access("/dev/fastrpc-gdsp0", F_OK) == -1 && errno == ENOENT);
    CHECK(access("/dev/null", R_OK) == 0);
    CHECK(fstatat(AT_FDCWD, "/dev/dma_heap/system", &status, 0) == 0);
    const int inherited = open("/dev/fastrpc-cdsp", O_RDONLY | O_NONBLOCK);
    CHECK(inherited >= 0 && fcntl(inherited, F_GETFD) == 0);
    const int kept = openat(AT_FDCWD, "/dev/fastrpc-cdsp", O_RDWR | O_CLOEXEC);
    CHECK(kept == inherited + 1 && fcntl(kept, F_GETFD) == FD_CLOEXEC);
    std::uint32_t word = 0;
    for (const unsigned code : {0xC0045202U, 0xC020520CU, 0xC0185201U}) CHECK(fails(ioctl(kept, code, &word), ENOTTY));
    CHECK(fails(ioctl(STDIN_FILENO, VDSP_INIT_ATTACH, nullptr), ENOTTY));
    CHECK(ioctl(inherited, VDSP_INIT_ATTACH, nullptr) == 0);
    vdsp_dsp_info info{};
    CHECK(fails(ioctl(inherited, VDSP_GET_DSP_INFO, nullptr), EFAULT));
    CHECK(ioctl(inherited, VDSP_GET_DSP_INFO, &info) == 0);
}

// What the file of a device cannot do (KERNEL 1.10).
void plain_file() {
    const int fd = device();
    char byte = 'x';
    struct stat status {};
    CHECK(fstat(fd, &status) == 0 && S_ISCHR(status.st_mode));
    CHECK(fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 && S_ISCHR(status.st_mode));
    CHECK(fails(static_cast<int>(read(fd, &byte, 1)), EINVAL) && fails(static_cast<int>(write(fd, &byte, 1)), EINVAL));
    CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
    CHECK(lseek(fd, 0, SEEK_SET) == -1 && errno == ESPIPE);
    pollfd fds[] = {{fd, POLLIN | POLLOUT, 0}, {fd, 0, 0}};
    CHECK(poll(fds, 2, -1) == 1 && fds[0].revents == (POLLIN | POLLOUT) && fds[1].revents == 0);
    CHECK(ppoll(fds, 2, nullptr, nullptr) == 1);
    int pipe_ends[2];
    CHECK(pipe(pipe_ends) == 0);
    pollfd mixed[] = {{pipe_ends[0], POLLIN, 0}, {fd, POLLOUT, 0}};
    CHECK(poll(mixed, 2, -1) == 1 && mixed[0].revents == 0 && mixed[1].revents == POLLOUT);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    CHECK(fails(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), EPERM));
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_ends[0], &event) == 0);
    CHECK(write(pipe_ends[1], &byte, 1) == 1 && read(pipe_ends[0], &byte, 1) == 1);
    int waiting = 0;
    CHECK(fails(ioctl(fd, FIONREAD, &waiting), ENOTTY) && ioctl(fd, FIOCLEX) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && echoes(fd, 8)); // means nothing to the driver
}

} // namespace

void add_node_scenarios(Scenarios& scenarios) {
    scenarios.emplace("nodes", nodes);
    scenarios.emplace("plain-file", plain_file);
}

} // namespace fastrpc::vdsp::client
