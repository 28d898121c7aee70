// What a host can and can't do once it serves. Each test runs in a child: a sandbox is for ever.
#include "daemon/device/accel_abi.hpp"
#include "daemon/device/misc_abi.hpp"
#include "daemon/device/requests.hpp"
#include "daemon/files/draft.hpp"
#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_directories.hpp"
#include "daemon/files/overlay.hpp"
#include "daemon/host/sandbox.hpp"
#include "ipc/frame.hpp"

#include "tests/support/scratch.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

/// Runs `steps` in a sandboxed child; the result is the number of the first step that gave false, 0 when all held.
int in_sandbox(bool may_open, const std::vector<std::function<bool()>>& steps,
               const std::vector<unsigned long>& requests = {}) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (!drop_privileges() || !enter_sandbox(may_open, requests)) ::_exit(100);
        for (std::size_t i = 0; i < steps.size(); ++i)
            if (!steps[i]()) ::_exit(static_cast<int>(i) + 1);
        ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    return WEXITSTATUS(status);
}

bool forbidden(long result) {
    return result == -1 && errno == EPERM;
}

} // namespace

TEST(Sandbox, no_program_no_device_no_tracing_no_process) {
    EXPECT_EQ(in_sandbox(false, {
                                    [] {
                                        char* const arguments[] = {nullptr};
                                        return forbidden(::execve("/bin/true", arguments, arguments));
                                    },
                                    [] { return forbidden(::open("/dev/null", O_RDWR)); },
                                    [] { return forbidden(::setpriority(PRIO_PROCESS, 1, 19)); },
                                    [] { return forbidden(::setpriority(PRIO_USER, 0, 19)); },
                                    [] { return forbidden(::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR)); },
                                    [] { return forbidden(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); },
                                    [] { return forbidden(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); },
                                    [] { return forbidden(::socket(AF_INET, SOCK_DGRAM, 0)); },
                                    [] { return forbidden(::socket(AF_NETLINK, SOCK_RAW, 0)); },
                                    [] { return forbidden(::syscall(SYS_bpf, 0, nullptr, 0)); },
                                    [] { return forbidden(::syscall(SYS_io_uring_setup, 1, nullptr)); },
                                    [] {
                                        char byte = 0;
                                        const iovec part{&byte, 1};
                                        return forbidden(::process_vm_readv(::getpid(), &part, 1, &part, 1, 0));
                                    },
                                    [] { return forbidden(::prctl(PR_SET_DUMPABLE, 1)); },
                                    [] { return forbidden(::setuid(0)); },
                                }),
              0);
}

namespace {

/// By name, so that a call which is allowed by mistake is named; each with arguments that do no harm when it is.
struct ForbiddenCall {
    const char* name;
    long number;
};

// What nobody who serves a PD needs, and what an attacker would like to have: programs, processes, namespaces, mounts,
// identities, tracing, keys, kernel interfaces, and paths by name.
constexpr ForbiddenCall forbidden_calls[] = {
    {"execve", SYS_execve},
    {"execveat", SYS_execveat},
    {"open_by_handle_at", SYS_open_by_handle_at},
    {"openat", SYS_openat},
    {"name_to_handle_at", SYS_name_to_handle_at},
    {"faccessat2", SYS_faccessat2},
    {"fchmodat", SYS_fchmodat},
    {"fchownat", SYS_fchownat},
    {"linkat", SYS_linkat},
    {"symlinkat", SYS_symlinkat},
    {"mknodat", SYS_mknodat},
    {"mkdirat", SYS_mkdirat},
    {"unlinkat", SYS_unlinkat},
    {"renameat2", SYS_renameat2},
    {"setxattr", SYS_setxattr},
    {"chroot", SYS_chroot},
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"move_mount", SYS_move_mount},
    {"open_tree", SYS_open_tree},
    {"fsopen", SYS_fsopen},
    {"pivot_root", SYS_pivot_root},
    {"unshare", SYS_unshare},
    {"setns", SYS_setns},
    {"setuid", SYS_setuid},
    {"setgid", SYS_setgid},
    {"setgroups", SYS_setgroups},
    {"setresuid", SYS_setresuid},
    {"capset", SYS_capset},
    {"ptrace", SYS_ptrace},
    {"process_vm_readv", SYS_process_vm_readv},
    {"process_vm_writev", SYS_process_vm_writev},
    {"pidfd_open", SYS_pidfd_open},
    {"pidfd_getfd", SYS_pidfd_getfd},
    {"pidfd_send_signal", SYS_pidfd_send_signal},
    {"kill", SYS_kill},
    {"tkill", SYS_tkill},
    {"kcmp", SYS_kcmp},
    {"perf_event_open", SYS_perf_event_open},
    {"bpf", SYS_bpf},
    {"userfaultfd", SYS_userfaultfd},
    {"io_uring_setup", SYS_io_uring_setup},
    {"io_uring_enter", SYS_io_uring_enter},
    {"keyctl", SYS_keyctl},
    {"add_key", SYS_add_key},
    {"request_key", SYS_request_key},
    {"seccomp", SYS_seccomp},
    {"init_module", SYS_init_module},
    {"finit_module", SYS_finit_module},
    {"kexec_load", SYS_kexec_load},
    {"reboot", SYS_reboot},
    {"swapon", SYS_swapon},
    {"syslog", SYS_syslog},
    {"acct", SYS_acct},
    {"clock_settime", SYS_clock_settime},
    {"sethostname", SYS_sethostname},
    {"personality", SYS_personality},
    {"bind", SYS_bind},
    {"listen", SYS_listen},
    {"fanotify_init", SYS_fanotify_init},
    {"inotify_init1", SYS_inotify_init1},
    {"memfd_secret", SYS_memfd_secret},
    {"vmsplice", SYS_vmsplice},
    {"prlimit64", SYS_prlimit64},
    {"sched_setattr", SYS_sched_setattr},
#ifdef SYS_open
    {"open", SYS_open},
    {"creat", SYS_creat},
    {"fork", SYS_fork},
    {"vfork", SYS_vfork},
    {"iopl", SYS_iopl},
    {"ioperm", SYS_ioperm},
#endif
};

} // namespace

TEST(Sandbox, each_forbidden_call_fails) {
    for (const ForbiddenCall& call : forbidden_calls)
        // Arguments that no call accepts: one that is let through fails too, but with another error.
        EXPECT_EQ(in_sandbox(false, {[&] { return forbidden(::syscall(call.number, -1L, -1L, -1L, -1L, -1L, -1L)); }}),
                  0)
            << call.name << " is not refused";
}

TEST(Sandbox, ioctls_are_those_of_the_hosts_dialect_alone) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    // Let through, the number reaches a file that does not know it.
    const auto passes = [&](unsigned long request) {
        return ::ioctl(null.get(), request, nullptr) == -1 && errno == ENOTTY;
    };
    const auto stopped = [&](unsigned long request) { return forbidden(::ioctl(null.get(), request, nullptr)); };
    struct Host {
        const char* name;
        bool may_open;
        std::vector<unsigned long> requests, let_through, refused;
    };
    const std::vector<unsigned long> never{TIOCSTI, TIOCGWINSZ, TCGETS, FIONBIO, FIOASYNC, FIONREAD, 0, ~0UL};
    for (const Host& host : {Host{"misc session",
                                  false,
                                  session_requests("misc"),
                                  {misc_abi::invoke, misc_abi::mem_map},
                                  {misc_abi::init_attach, misc_abi::init_create, misc_abi::init_create_static,
                                   accel_abi::invoke, accel_abi::create}},
                             {"accel session",
                              false,
                              session_requests("accel"),
                              {accel_abi::invoke, accel_abi::map},
                              {accel_abi::init_attach, accel_abi::create, misc_abi::invoke, misc_abi::init_create}},
                             {"static",
                              true,
                              static_requests(),
                              {misc_abi::init_attach, misc_abi::invoke, accel_abi::create, accel_abi::query},
                              {}},
                             {"unknown", false, session_requests("?"), {}, {misc_abi::invoke, accel_abi::invoke}}}) {
        EXPECT_EQ(in_sandbox(host.may_open,
                             {[&] { return std::ranges::all_of(host.let_through, passes); },
                              [&] { return std::ranges::all_of(host.refused, stopped); },
                              [&] { return std::ranges::all_of(never, stopped); }},
                             host.requests),
                  0)
            << host.name;
    }
}

TEST(Sandbox, rights_are_gone_for_good) {
    EXPECT_EQ(in_sandbox(true, {[] {
                             const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
                             std::string text(8192, '\0');
                             const ssize_t got = ::read(status.get(), text.data(), text.size());
                             text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
                             for (const char* line :
                                  {"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000",
                                   "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"})
                                 if (text.find(line) == std::string::npos) return false;
                             return true;
                         }}),
              0);
}

TEST(Sandbox, a_crash_leaves_no_core) {
    const pid_t child = ::fork();
    if (child == 0) {
        rlimit limit{1, 1};
        const bool dropped = drop_privileges().has_value() && ::getrlimit(RLIMIT_CORE, &limit) == 0;
        ::_exit(dropped && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

TEST(Sandbox, serving_goes_on) {
    const UniqueFd directory(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd spare(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(
        in_sandbox(false, {
                              [] {
                                  bool ran = false;
                                  std::thread([&] { ran = ::prctl(PR_SET_NAME, "lane") == 0; }).join();
                                  return ran;
                              },
                              [] {
                                  auto pair = socket_pair();
                                  if (!pair || !send_frame(pair->first.get(), FrameHeader{})) return false;
                                  std::array<std::byte, 64> storage;
                                  return receive_frame(pair->second.get(), storage, 0).has_value();
                              },
                              [] { return ::setpriority(PRIO_PROCESS, 0, 19) == 0; },
                              [] { return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)).get() >= 0; },
                              [] {
                                  const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
                                  if (::ftruncate(memory.get(), 4096) != 0) return false;
                                  void* const view = ::mmap(nullptr, 4096, PROT_NONE, MAP_SHARED, memory.get(), 0);
                                  return view != MAP_FAILED && ::lseek(memory.get(), 0, SEEK_END) == 4096 &&
                                         ::munmap(view, 4096) == 0;
                              },
                              [&] { return ::fcntl(spare.get(), F_DUPFD_CLOEXEC, 600) == 600; },
                              [&] {
                                  const std::uint64_t how[3] = {O_RDONLY | O_CLOEXEC, 0, 0x08 /* RESOLVE_BENEATH */};
                                  return ::syscall(SYS_openat2, directory.get(), "etc/passwd", how, sizeof how) >= 0;
                              },
                              [&] {
                                  FileTree tree(Domain::cdsp);
                                  tree.add(UniqueFd(::dup(directory.get())), "/", Links::beneath);
                                  auto opened = tree.open_directory("etc");
                                  OpenDirectories listings;
                                  OpenDirectories::Entry entry;
                                  int error = 0;
                                  const auto handle = opened ? listings.add(std::move(*opened), error) : 0;
                                  return handle != 0 && listings.next(handle, entry) == 0 && !entry.name.empty() &&
                                         listings.close(handle) == 0;
                              },
                              [] { return std::vector<char>(32U << 20, 'x').back() == 'x'; },
                          }),
        0);
}

TEST(Sandbox, a_static_host_writes_what_its_pd_keeps_and_a_sessions_host_nothing) {
    const test::Scratch scratch;
    auto overlay = Overlay::open(scratch.path("state"));
    ASSERT_TRUE(overlay);
    const auto write = [&] {
        int error = 0;
        if (overlay->make_directories("a/b") != 0) return false;
        auto draft = Draft::begin(*overlay, "a/b/f", -1, error);
        const std::array bytes{std::byte{1}};
        return draft && draft->write(bytes, 0) == 0 && draft->truncate(4) == 0 && draft->publish() == 0 &&
               overlay->rename("a/b/f", "g") == 0 && overlay->remove("g") == 0 && overlay->remove_directory("a/b") == 0;
    };
    EXPECT_EQ(in_sandbox(true, {write}), 0);
    EXPECT_EQ(in_sandbox(false, {[&] { return !write(); }}), 0);
}

TEST(Sandbox, a_static_host_opens_its_node_again_but_starts_nothing) {
    EXPECT_EQ(in_sandbox(true, {
                                   [] { return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)).get() >= 0; },
                                   [] {
                                       char* const arguments[] = {nullptr};
                                       return forbidden(::execve("/bin/true", arguments, arguments));
                                   },
                               }),
              0);
}

TEST(Sandbox, threads_that_already_run_come_under_it) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (!drop_privileges()) ::_exit(100);
        int gate[2];
        if (::pipe2(gate, O_CLOEXEC) != 0) ::_exit(101);
        bool refused = false;
        std::thread early([&] {
            char byte = 0;
            if (::read(gate[0], &byte, 1) == 1) refused = forbidden(::open("/dev/null", O_RDWR));
        });
        if (!enter_sandbox(false, {})) ::_exit(102);
        if (::write(gate[1], "x", 1) != 1) ::_exit(103);
        early.join();
        ::_exit(refused ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

namespace {

/// "CapEff:\t0000000000200000" of the calling thread.
std::string capability_line(const char* name) {
    const UniqueFd status(::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC));
    std::string text(8192, '\0');
    const ssize_t got = ::read(status.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    const std::size_t at = text.find(name);
    return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

constexpr const char* admin_alone = "0000000000200000"; // CAP_SYS_ADMIN is number 21

/// Runs `body` in a child that has CAP_SYS_ADMIN as an ambient capability of an ordinary user, as a unit gives it.
int as_a_host(const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        __user_cap_data_struct data[2]{};
        data[0].effective = data[0].permitted = data[0].inheritable = 1U << CAP_SYS_ADMIN | 1U << CAP_SETUID;
        if (::prctl(PR_SET_KEEPCAPS, 1) != 0 || ::setuid(65534) != 0) ::_exit(100);
        data[0].effective = data[0].permitted = data[0].inheritable = 1U << CAP_SYS_ADMIN;
        if (::syscall(SYS_capset, &header, data) != 0) ::_exit(101);
        if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) != 0) ::_exit(102);
        ::_exit(body());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

} // namespace

TEST(InitPrivilege, is_kept_alone_until_it_is_dropped) {
    EXPECT_EQ(as_a_host([] {
                  const auto kept = keep_init_privilege();
                  if (!kept || !*kept) return 1;
                  if (capability_line("CapEff") != std::string("CapEff:\t") + admin_alone) return 2;
                  if (capability_line("CapAmb") != "CapAmb:\t0000000000000000") return 3; // no program inherits it
                  if (capability_line("CapInh") != "CapInh:\t0000000000000000") return 4;
                  if (!drop_privileges()) return 5;
                  for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapAmb"})
                      if (capability_line(set) != std::string(set) + ":\t0000000000000000") return 6;
                  return 0;
              }),
              0);
}

TEST(InitPrivilege, a_thread_of_the_init_takes_it_along_and_others_do_not_keep_it) {
    EXPECT_EQ(as_a_host([] {
                  if (!keep_init_privilege()) return 1;
                  int gate[2];
                  if (::pipe2(gate, O_CLOEXEC) != 0) return 2;
                  int seen = 0;
                  std::thread init([&] {
                      char byte = 0;
                      if (::read(gate[0], &byte, 1) != 1) return;
                      seen = capability_line("CapEff") == std::string("CapEff:\t") + admin_alone ? 1 : 0;
                      if (drop_privileges() && capability_line("CapPrm") == "CapPrm:\t0000000000000000") seen += 2;
                  });
                  if (!drop_privileges()) return 3;
                  if (capability_line("CapPrm") != "CapPrm:\t0000000000000000") return 4;
                  if (::write(gate[1], "x", 1) != 1) return 5;
                  init.join();
                  return seen == 3 ? 0 : 6;
              }),
              0);
}

TEST(InitPrivilege, a_host_without_one_is_told_so) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setuid(65534) != 0) ::_exit(100);
        const auto kept = keep_init_privilege();
        ::_exit(kept && !*kept ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}
