// A program that uses device nodes in the ordinary way and knows nothing of the virtual SoC. The test runs it below the
// shim, one scenario a time; exit status 0 is success, else the failed line is on stderr.
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

enum Method : unsigned {
    echo = 2,
    result = 3,
    block = 4,
    unblock = 5,
    increment = 6,
    resize = 7,
    who = 8,
    poke = 9,
    wait_for_sleeper = 10
};
using Arg = vdsp_invoke_arg;

Arg arg(const void* pointer, std::uint64_t length, int fd = -1) {
    return {.ptr = reinterpret_cast<std::uint64_t>(pointer), .length = length, .fd = fd, .attr = 0xdead0000};
}
int invoke(int fd, unsigned method, unsigned in, unsigned out, const std::vector<Arg>& args, unsigned handles = 0,
           std::uint32_t handle = 20) {
    vdsp_invoke call{.handle = handle,
                     .sc = method << 24 | in << 16 | out << 8 | handles << 4,
                     .args = reinterpret_cast<std::uint64_t>(args.data())};
    return ioctl(fd, VDSP_INVOKE, &call);
}
bool echoes(int fd, std::size_t bytes, unsigned seed = 0) {
    std::vector<std::uint8_t> in(bytes);
    std::vector<std::uint8_t> out(bytes);
    for (std::size_t i = 0; i < bytes; ++i) in[i] = static_cast<std::uint8_t>(i * 7 + seed + i / 256);
    return invoke(fd, echo, 1, 1, {arg(in.data(), bytes), arg(out.data(), bytes)}) == 0 && in == out;
}
int device(const char* path = "/dev/fastrpc-cdsp") {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}
int allocate(std::uint64_t size, std::uint32_t flags = O_RDWR | O_CLOEXEC) {
    const int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
    CHECK(heap >= 0);
    vdsp_heap_alloc request{.len = size, .fd = 0, .fd_flags = flags, .heap_flags = 0};
    CHECK(ioctl(heap, VDSP_HEAP_ALLOC, &request) == 0);
    close(heap);
    return static_cast<int>(request.fd);
}
void* map(int fd, std::size_t size, int protection = PROT_READ | PROT_WRITE, off_t offset = 0) {
    void* at = mmap(nullptr, size, protection, MAP_SHARED, fd, offset);
    CHECK(at != MAP_FAILED);
    return at;
}
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

void results() {
    const int fd = device();
    CHECK(echoes(fd, 1) && echoes(fd, 5000));
    for (const std::int32_t value : {39, 0x7fffffff, static_cast<std::int32_t>(0x8000040D), -4096}) {
        errno = 0;
        CHECK(invoke(fd, result, 1, 0, {arg(&value, 4)}) == value && errno == 0);
    }
    const std::int32_t minus = -39;
    CHECK(fails(invoke(fd, result, 1, 0, {arg(&minus, 4)}), 39));
    CHECK(fails(invoke(fd, echo, 0, 0, {}, 0, 1), EPERM));
    std::int32_t answer[2] = {};
    CHECK(invoke(fd, who, 0, 1, {arg(answer, 8)}) == 0);
    CHECK(answer[0] > 0 && answer[1] == static_cast<std::int32_t>(syscall(SYS_gettid)));
    // The DSP shortens an output, then makes it longer than it was declared.
    for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{12}}) {
        std::array<std::uint8_t, 16> out{};
        CHECK(invoke(fd, resize, 1, 1, {arg(&length, 8), arg(out.data(), 8)}) == 0);
        CHECK(std::count(out.begin(), out.end(), 0x5a) == static_cast<long>(length));
    }
    std::uint64_t length = std::uint64_t{1} << 40;
    std::uint64_t out = 0;
    CHECK(fails(invoke(fd, resize, 1, 1, {arg(&length, 8), arg(&out, 8)}), EFAULT));
    CHECK(echoes(fd, 10));
}

void faults() {
    const int fd = device();
    char in[8] = "1234567";
    char out[8];
    auto* const nowhere = reinterpret_cast<void*>(std::uintptr_t{0x1000});
    auto* const beyond = reinterpret_cast<void*>(std::uintptr_t{0xFFFF800000000000});
    auto* const locked = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (void* bad : {nowhere, beyond}) {
        CHECK(fails(ioctl(fd, VDSP_INVOKE, bad), EFAULT));
        CHECK(fails(ioctl(fd, VDSP_MMAP, bad), EFAULT));
        vdsp_invoke call{.handle = 20, .sc = 0x02010000, .args = reinterpret_cast<std::uint64_t>(bad)};
        CHECK(fails(ioctl(fd, VDSP_INVOKE, &call), EFAULT));
        CHECK(fails(invoke(fd, echo, 1, 1, {arg(bad, 8), arg(out, 8)}), EFAULT));
        CHECK(fails(invoke(fd, echo, 1, 1, {arg(in, 8), arg(bad, 8)}), EFAULT));
        char good[8] = "";
        CHECK(fails(invoke(fd, echo, 2, 2, {arg(in, 8), arg(in, 8), arg(good, 8), arg(bad, 8)}), EFAULT));
        CHECK(std::memcmp(in, good, 8) == 0);                             // outputs arrive in order, up to the bad one
        CHECK(fails(invoke(fd, echo, 1, 0, {arg(bad, 8)}, 0, 1), EPERM)); // the driver has its say first
        CHECK(fails(invoke(fd, echo, 2, 0, {arg(bad, 8), arg(in, 8, 1000)}), EINVAL));
        CHECK(fails(invoke(fd, echo, 1, 1, {arg(bad, 1 << 20), arg(out, 8)}), EFAULT));
    }
    CHECK(fails(invoke(fd, echo, 1, 1, {arg(in, 8), arg(locked, 8)}), EFAULT));
    vdsp_init_create_static name{.namelen = 7, .memlen = 4096, .name = 1};
    CHECK(fails(ioctl(fd, VDSP_INIT_CREATE_STATIC, &name), EFAULT));
    name.namelen = 129;
    CHECK(fails(ioctl(fd, VDSP_INIT_CREATE_STATIC, &name), EINVAL));
    CHECK(fails(invoke(fd, echo, 1, 0, {arg(in, std::uint64_t{1} << 60)}), ENOMEM));
    CHECK(fails(invoke(fd, echo, 0, 1, {arg(out, std::uint64_t{1} << 63)}), ENOMEM));
    CHECK(echoes(fd, 100));
}

void buffers() {
    const int fd = device("/dev/fastrpc-cdsp-secure");
    const int buffer = allocate(10000);
    CHECK(lseek(buffer, 0, SEEK_END) == 12288);
    CHECK(fcntl(buffer, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(allocate(1, O_RDWR), F_GETFD) == 0);
    struct statfs kind {};
    CHECK(fstatfs(buffer, &kind) == 0 && kind.f_type == 0x444d4142);
    const int other = memfd_create("not a dma-buf", 0);
    CHECK(ftruncate(other, 4096) == 0);
    CHECK(fstatfs(other, &kind) == 0 && kind.f_type != 0x444d4142);
    const std::uint64_t sync = 3;
    CHECK(ioctl(buffer, VDSP_DMA_BUF_SYNC, &sync) == 0);
    CHECK(fails(ioctl(other, VDSP_DMA_BUF_SYNC, &sync), ENOTTY));

    auto* bytes = static_cast<std::uint8_t*>(map(buffer, 10000));
    std::memset(bytes, 7, 10000);
    const auto raised = [&](void* at, std::size_t length) {
        return invoke(fd, increment, 0, 1, {arg(at, length, buffer)}) == 0;
    };
    CHECK(raised(bytes, 10000) && std::count(bytes, bytes + 10000, 8) == 10000);
    CHECK(raised(bytes + 5000, 10) && std::count(bytes, bytes + 10000, 9) == 10 && bytes[5000] == 9);
    // A second mapping elsewhere, and one that a change of protection splits: the kernel counts from the split.
    auto* twin = static_cast<std::uint8_t*>(map(buffer, 12288));
    CHECK(raised(twin + 4096, 1) && bytes[4096] == 9);
    CHECK(mprotect(twin, 4096, PROT_READ) == 0);
    CHECK(raised(twin + 4096, 1) && bytes[0] == 9 && bytes[4096] == 9); // the wrong page, as KERNEL 1.17 says
    CHECK(mprotect(twin, 4096, PROT_READ | PROT_WRITE) == 0);
    CHECK(raised(twin + 4096, 1) && bytes[4096] == 10);
    munmap(twin, 12288);
    void* blind = map(buffer, 12288, PROT_NONE);
    CHECK(raised(static_cast<char*>(blind) + 8192, 1) && bytes[8192] == 9);

    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, other)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, 1000)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, -2)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 12289, buffer)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, fd)}), EINVAL)); // a device is no buffer
    CHECK(invoke(fd, poke, 0, 0, {arg(reinterpret_cast<void*>(std::uintptr_t{100}), 4, buffer)}, 1) == 0);
    CHECK(bytes[100] == 0x77);

    vdsp_mem_map mapping{.fd = 1000, .length = 4096};
    CHECK(fails(ioctl(fd, VDSP_MEM_MAP, &mapping), EBADF));
    mapping.fd = other;
    CHECK(fails(ioctl(fd, VDSP_MEM_MAP, &mapping), EINVAL));
    mapping.fd = buffer;
    CHECK(ioctl(fd, VDSP_MEM_MAP, &mapping) == 0);
    vdsp_init_create create{.filelen = 100, .filefd = 1000, .file = reinterpret_cast<std::uint64_t>(bytes)};
    CHECK(fails(ioctl(fd, VDSP_INIT_CREATE, &create), EBADF));
    create.filefd = buffer;
    CHECK(ioctl(fd, VDSP_INIT_CREATE, &create) == 0);

    vdsp_alloc_dma_buff own{.size = 6000};
    CHECK(ioctl(fd, VDSP_ALLOC_DMA_BUFF, &own) == 0 && fcntl(own.fd, F_GETFD) == 0);
    CHECK(lseek(own.fd, 0, SEEK_END) == 6000);
    CHECK(mmap(nullptr, 6000, PROT_READ, MAP_SHARED, own.fd, 0) == MAP_FAILED && errno == EINVAL);
    map(own.fd, 4096);
    own.size = 8192;
    CHECK(ioctl(fd, VDSP_ALLOC_DMA_BUFF, &own) == 0);
    CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, own.fd, 4096) == MAP_FAILED && errno == ENXIO);
    CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, own.fd, 100) == MAP_FAILED && errno == EINVAL);
    vdsp_heap_alloc request{.len = 4096, .fd = 5};
    const int heap = open("/dev/dma_heap/system", O_RDWR);
    CHECK(fails(ioctl(heap, VDSP_HEAP_ALLOC, &request), EINVAL));
    CHECK(fails(invoke(heap, echo, 0, 0, {}), ENOTTY));
    CHECK(fails(ioctl(heap, VDSP_INIT_ATTACH, nullptr), ENOTTY));
}

void large() {
    const int fd = device();
    for (const std::size_t size : {130U << 10, 128U << 10, (128U << 10) + 1, 3U << 20, 20U << 20})
        CHECK(echoes(fd, size));
    // As many arguments as there can be, and more dma-bufs than one datagram carries.
    std::vector<std::array<std::uint8_t, 3>> in(255);
    std::vector<std::array<std::uint8_t, 3>> out(255);
    std::vector<Arg> args;
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = {static_cast<std::uint8_t>(i), 1, 2};
    for (auto& one : in) args.push_back(arg(one.data(), 3));
    for (auto& one : out) args.push_back(arg(one.data(), 3));
    for (int i = 0; i < 15; ++i) args.push_back(arg(nullptr, 4));
    CHECK(invoke(fd, echo, 255, 255, args, 15) == 0 && in == out);
    args.clear();
    std::vector<std::uint8_t*> pages;
    for (int i = 0; i < 250; ++i) {
        const int buffer = allocate(4096);
        pages.push_back(static_cast<std::uint8_t*>(map(buffer, 4096)));
        args.push_back(arg(pages.back(), 4096, buffer));
    }
    CHECK(invoke(fd, increment, 0, 250, args) == 0);
    for (const std::uint8_t* page : pages) CHECK(page[0] == 1 && page[4095] == 1);
}

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
    char letter = 'x';
    iovec piece{&letter, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    CHECK(sendmsg(ends[0], &message, 0) == 1);
    close(fd);
    CHECK(busy()); // it lives in the socket
    CHECK(recvmsg(ends[1], &message, 0) == 1);
    std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    CHECK(echoes(fd, 8));
    close(fd);
    CHECK(WIFSIGNALED(in_child([&] {
        CHECK(echoes(device(single), 8));
        raise(SIGKILL);
    })));
    while (busy()) {
    } // nobody waits for the release of a killed program
}

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

void interrupted() {
    const int fd = device();
    struct sigaction action {};
    action.sa_handler = [](int) {};
    CHECK(sigaction(SIGALRM, &action, nullptr) == 0);
    const itimerval often{{0, 5000}, {0, 5000}};
    CHECK(setitimer(ITIMER_REAL, &often, nullptr) == 0);
    CHECK(fails(invoke(fd, block, 0, 0, {}), EINTR));
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    CHECK(invoke(fd, unblock, 0, 0, {}) == 0); // its late answer reaches nobody
    CHECK(echoes(fd, 100));
}

/// Leaves a file behind that it closed, and one that it did not.
void close_and_leave() {
    CHECK(close(device()) == 0);
    CHECK(echoes(device(), 10));
}

void hang() {
    const int fd = device();
    invoke(fd, block, 0, 0, {});
    CHECK(false);
}

void confined() {
    const int fd = device();
    const int buffer = allocate(4096);
    const int other = memfd_create("not a dma-buf", MFD_CLOEXEC);
    allow_only({SYS_sendmsg,      SYS_recvmsg,       SYS_sendto, SYS_recvfrom,     SYS_getpeername,    SYS_socketpair,
                SYS_fstat,        SYS_newfstatat,    SYS_mmap,   SYS_munmap,       SYS_mprotect,       SYS_ioctl,
                SYS_close,        SYS_fcntl,         SYS_futex,  SYS_write,        SYS_read,           SYS_gettid,
                SYS_memfd_create, SYS_clock_gettime, SYS_brk,    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_setsockopt});
    CHECK(echoes(fd, 100) && echoes(fd, 1 << 20));
    auto* bytes = static_cast<std::uint8_t*>(map(buffer, 4096));
    CHECK(invoke(fd, increment, 0, 1, {arg(bytes + 8, 8, buffer)}) == 0 && bytes[8] == 1);
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, 1000)}), EINVAL));
    struct statfs kind {};
    CHECK(fstatfs(buffer, &kind) == 0 && kind.f_type == 0x444d4142);
    const std::uint64_t sync = 3;
    CHECK(fails(ioctl(other, VDSP_DMA_BUF_SYNC, &sync), ENOTTY));
}

// Nothing but the datagrams and one look at the fd, once the thread has its channel.
void warm() {
    const int fd = device();
    const int buffer = allocate(4096);
    auto* bytes = static_cast<std::uint8_t*>(map(buffer, 4096));
    char out[100] = {};
    const char in[100] = "warm";
    const std::vector<Arg> inlined{arg(in, 100), arg(out, 100)};
    const std::vector<Arg> shared{arg(bytes, 4096, buffer)};
    CHECK(invoke(fd, echo, 1, 1, inlined) == 0 && invoke(fd, increment, 0, 1, shared) == 0);
    allow_only({SYS_sendmsg, SYS_recvmsg, SYS_fstat, SYS_newfstatat, SYS_write});
    for (int i = 0; i < 10; ++i) CHECK(invoke(fd, echo, 1, 1, inlined) == 0 && std::strcmp(out, "warm") == 0);
    CHECK(invoke(fd, increment, 0, 1, shared) == 0 && bytes[4095] == 2);
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

// Signals (KERNEL 1.14). The calls that reach the DSP are counted by the test.
void on(
    int number, int flags, void (*handler)(int) = [](int) {}) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    CHECK(sigaction(number, &action, nullptr) == 0);
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

int main(int argc, char** argv) {
    const std::string_view scenario = argc > 1 ? argv[1] : "";
    for (const auto& [name, run] : {std::pair<std::string_view, void (*)()>{"nodes", nodes},
                                    {"results", results},
                                    {"faults", faults},
                                    {"buffers", buffers},
                                    {"large", large},
                                    {"lifetime", lifetime},
                                    {"threads", threads},
                                    {"interrupted", interrupted},
                                    {"close-and-leave", close_and_leave},
                                    {"hang", hang},
                                    {"confined", confined},
                                    {"warm", warm},
                                    {"sweeping", sweeping},
                                    {"swept", swept},
                                    {"duplicates", duplicates},
                                    {"inherit", inherit},
                                    {"use-inherited", use_inherited},
                                    {"children", children},
                                    {"plain-file", plain_file},
                                    {"restarted", restarted},
                                    {"ended", ended},
                                    {"told-apart", told_apart},
                                    {"stopped", stopped},
                                    {"uninterruptible", uninterruptible}})
        if (name == scenario) {
            run();
            return 0;
        }
    std::fprintf(stderr, "no scenario \"%s\"\n", argc > 1 ? argv[1] : "");
    return 2;
}
