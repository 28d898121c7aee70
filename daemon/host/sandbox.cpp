// Files are opened by openat2 alone, beneath directory fds (daemon/files); open and openat stay forbidden. A filter
// can't see the flags of openat2: what else could be reached by it is up to the unit's DeviceAllow= and ProtectSystem=.
#include "daemon/host/sandbox.hpp"

#include <array>
#include <cap-ng.h>
#include <cerrno>
#include <fmt/core.h>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace fastrpc::daemon {
namespace {

constexpr std::array allowed{
    // files and memory
    "read",
    "readv",
    "pread64",
    "preadv",
    "write",
    "writev",
    "close",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "_llseek",
    "fcntl",
    "fcntl64",
    "dup",
    "fstatfs",
    "fstatfs64",
    "openat2",
    "getdents64",
    "memfd_create",
    "pipe",
    "pipe2",
    "ftruncate",
    "ftruncate64",
    "fallocate",
    "mmap",
    "mmap2",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    // sockets; socket() itself below
    "socketpair",
    "connect",
    "sendmsg",
    "recvmsg",
    "sendto",
    "recvfrom",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
    // the event loop
    "poll",
    "ppoll",
    "ppoll_time64",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_settime64",
    "timerfd_gettime",
    "timerfd_gettime64",
    "signalfd4",
    "eventfd2",
    "inotify_add_watch",
    // threads; clone() itself below
    "futex",
    "futex_time64",
    "set_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "tgkill",
    "exit",
    "exit_group",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    "restart_syscall",
    // clocks and identity
    "clock_gettime",
    "clock_gettime64",
    "clock_getres",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "nanosleep",
    "gettimeofday",
    "getrandom",
    "getpid",
    "getuid",
    "geteuid",
    "uname",
    "sysinfo",
};

struct FilterDeleter {
    void operator()(void* filter) const noexcept { seccomp_release(filter); }
};

Status failed(const char* what, int result) {
    return fail_errno(fmt::format("sandbox: {}", what), -result);
}

Status add_rules(scmp_filter_ctx filter, bool may_open, const std::vector<unsigned long>& requests) {
    for (const char* name : allowed) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) continue; // this libseccomp is older than the call
        // Calls that this architecture does not have get negative numbers, which seccomp_rule_add handles.
        if (const int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0); result < 0)
            return failed(name, result);
    }
    // A static host opens its node and its trees again, and writes what its PD keeps.
    if (may_open)
        for (const int number :
             {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(pwrite64), SCMP_SYS(fsync), SCMP_SYS(mkdirat),
              SCMP_SYS(unlinkat), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(inotify_init1)})
            if (const int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0); result < 0)
                return failed("a static host's calls", result);
    // The kernel looks at the lower half of the number alone.
    for (const unsigned long request : requests)
        if (const int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                                SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, request));
            result < 0)
            return failed("ioctl", result);
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    if (result < 0) return failed("socket", result);
    for (const int option : {PR_SET_NAME, PR_GET_NAME}) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option)));
        if (result < 0) return failed("prctl", result);
    }
    // Of the calling thread alone, which without privilege can only become less urgent.
    result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setpriority), 2, SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS),
                              SCMP_A1(SCMP_CMP_EQ, 0));
    if (result < 0) return failed("setpriority", result);
    // Threads, no processes. The flags of clone3 can't be seen: ENOSYS makes libc use clone.
    result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (result < 0) return failed("clone", result);
    result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (result < 0) return failed("clone3", result);
    return {};
}

Status filter_system_calls(bool may_open, const std::vector<unsigned long>& requests) {
    const std::unique_ptr<void, FilterDeleter> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
    if (!filter) return fail(ErrorKind::system, "sandbox: no memory for the system call filter");
    // The listener already runs: it must come under the filter too.
    if (const int result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); result < 0)
        return failed("TSYNC", result);
    if (Status status = add_rules(filter.get(), may_open, requests); !status) return status;
    if (const int result = seccomp_load(filter.get()); result < 0) return failed("loading the filter", result);
    return {};
}

} // namespace

namespace {

Status forbid_more() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("sandbox: no_new_privs", errno);
    const rlimit no_core{0, 0};
    if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return fail_errno("sandbox: RLIMIT_CORE", errno);
    return {};
}

/// Reduces the capabilities to CAP_SYS_ADMIN, if `keep` and if it is there; tells whether it was.
Result<bool> reduce_capabilities(bool keep) {
    if (capng_get_caps_process() != 0) return fail(ErrorKind::system, "sandbox: reading the capabilities failed");
    // Without CAP_SETPCAP the bounding set can't be emptied; no_new_privs makes it irrelevant.
    const bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
    const bool kept = keep && capng_have_capability(CAPNG_PERMITTED, CAP_SYS_ADMIN) != 0;
    capng_clear(CAPNG_SELECT_ALL);
    if (kept) capng_updatev(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_SYS_ADMIN, -1);
    if (const int result = capng_apply(bounds ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS); result < 0)
        return fail(ErrorKind::system,
                    fmt::format("sandbox: dropping the capabilities failed (libcap-ng says {})", result));
    return kept;
}

} // namespace

Result<bool> keep_init_privilege() {
    if (const Status forbidden = forbid_more(); !forbidden) return std::unexpected(forbidden.error());
    return reduce_capabilities(true);
}

Status drop_privileges() {
    if (Status forbidden = forbid_more(); !forbidden) return forbidden;
    const Result<bool> reduced = reduce_capabilities(false);
    if (!reduced) return std::unexpected(reduced.error());
    return {};
}

Status enter_sandbox(bool may_open, const std::vector<unsigned long>& requests) {
    return filter_system_calls(may_open, requests);
}

} // namespace fastrpc::daemon
