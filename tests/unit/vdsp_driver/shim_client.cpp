// A program that uses device nodes in the ordinary way and knows nothing of the virtual SoC. The test runs it below the
// shim, one scenario a time; exit status 0 is success, else the failed line is on stderr.
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
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #condition, errno);                             \
            std::_Exit(1);                                                                                             \
        }                                                                                                              \
    } while (false)

enum Method : unsigned { echo = 2, result = 3, block = 4, unblock = 5, increment = 6, resize = 7, who = 8, poke = 9 };
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
bool fails(int returned, int error) {
    return returned == -1 && errno == error;
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
template<class Body>
int in_child(Body&& body) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        std::_Exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
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

void hang() {
    const int fd = device();
    invoke(fd, block, 0, 0, {});
    CHECK(false);
}

void confined() {
    const int fd = device();
    const int buffer = allocate(4096);
    const int other = memfd_create("not a dma-buf", MFD_CLOEXEC);
    std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    for (const int number :
         {SYS_sendmsg, SYS_recvmsg,      SYS_sendto,        SYS_recvfrom, SYS_getpeername, SYS_socketpair,
          SYS_fstat,   SYS_newfstatat,   SYS_mmap,          SYS_munmap,   SYS_mprotect,    SYS_ioctl,
          SYS_close,   SYS_fcntl,        SYS_futex,         SYS_write,    SYS_read,        SYS_gettid,
          SYS_getpid,  SYS_memfd_create, SYS_clock_gettime, SYS_brk,      SYS_exit_group}) {
        filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    CHECK(echoes(fd, 100) && echoes(fd, 1 << 20));
    auto* bytes = static_cast<std::uint8_t*>(map(buffer, 4096));
    CHECK(invoke(fd, increment, 0, 1, {arg(bytes + 8, 8, buffer)}) == 0 && bytes[8] == 1);
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, 1000)}), EINVAL));
    struct statfs kind {};
    CHECK(fstatfs(buffer, &kind) == 0 && kind.f_type == 0x444d4142);
    const std::uint64_t sync = 3;
    CHECK(fails(ioctl(other, VDSP_DMA_BUF_SYNC, &sync), ENOTTY));
}

// A program that closes every fd it does not know must not confuse the shim.
void sweeping() {
    const int fd = device();
    CHECK(echoes(fd, 8));
    for (int other = fd + 1; other < 400; ++other) close(other);
    std::vector<int> taken;
    for (int i = 0; i < 300; ++i) taken.push_back(memfd_create("taken", MFD_CLOEXEC));
    CHECK(echoes(fd, 8));
    const int buffer = allocate(4096);
    struct statfs kind {};
    CHECK(fstatfs(buffer, &kind) == 0 && kind.f_type == 0x444d4142);
    for (const int one : taken) CHECK(lseek(one, 0, SEEK_END) == 0); // nothing was written into them
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
                                    {"hang", hang},
                                    {"confined", confined},
                                    {"sweeping", sweeping}})
        if (name == scenario) {
            run();
            return 0;
        }
    std::fprintf(stderr, "no scenario \"%s\"\n", argc > 1 ? argv[1] : "");
    return 2;
}
