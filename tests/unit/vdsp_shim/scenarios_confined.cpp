// What the shim costs in system calls: a program below a seccomp filter that allows the few it needs.
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <cstdint>
#include <cstring>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vector>

namespace fastrpc::vdsp::client {
namespace {

/// Any other system call kills the process.
void allow_only(std::vector<long> numbers) {
    numbers.push_back(SYS_exit_group);
    std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    for (const long number : numbers) {
        filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

void confined() {
    const int fd = device();
    const int buffer = allocate(4096);
    const int other = memfd_create("not a dma-buf", MFD_CLOEXEC);
    allow_only({SYS_sendmsg,      SYS_recvmsg,       SYS_sendto, SYS_recvfrom,     SYS_getpeername,    SYS_socketpair,
                SYS_statx,        SYS_newfstatat,    SYS_mmap,   SYS_munmap,       SYS_mprotect,       SYS_ioctl,
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
    allow_only({SYS_sendmsg, SYS_recvmsg, SYS_statx, SYS_newfstatat, SYS_write});
    for (int i = 0; i < 10; ++i) CHECK(invoke(fd, echo, 1, 1, inlined) == 0 && std::strcmp(out, "warm") == 0);
    CHECK(invoke(fd, increment, 0, 1, shared) == 0 && bytes[4095] == 2);
}

} // namespace

void add_confined_scenarios(Scenarios& scenarios) {
    scenarios.emplace("confined", confined);
    scenarios.emplace("warm", warm);
}

} // namespace fastrpc::vdsp::client
