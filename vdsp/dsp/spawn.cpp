#include "vdsp/dsp/spawn.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

struct Identity {
    bool change = false;
    uid_t uid = 0;
    gid_t gid = 0;
};

Result<Identity> identity_of(const std::string& user) {
    if (user.empty() || ::geteuid() != 0) return Identity{};
    // Reentrant: several DSPs start PDs at the same time.
    passwd found{};
    passwd* entry = nullptr;
    std::array<char, 4096> storage{};
    const int error = ::getpwnam_r(user.c_str(), &found, storage.data(), storage.size(), &entry);
    if (error != 0) return fail_errno(fmt::format("looking up user \"{}\" of PDs", user), error);
    if (entry == nullptr || entry->pw_uid == 0)
        return fail(ErrorKind::not_found,
                    fmt::format("PDs cannot run as user \"{}\": it does not exist or is root", user));
    return Identity{true, entry->pw_uid, entry->pw_gid};
}

// Between fork and exec: only system calls.
[[noreturn]] void become_pd(int program, char* const* argv, int socket, pid_t parent, const Identity& identity) {
    const rlimit no_core{0, 0};
    sigset_t none;
    sigemptyset(&none);
    const bool done = (!identity.change ||
                       (::setgroups(0, nullptr) == 0 && ::setgid(identity.gid) == 0 && ::setuid(identity.uid) == 0)) &&
                      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                      // After the change of user, which clears it.
                      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && ::getppid() == parent &&
                      ::setrlimit(RLIMIT_CORE, &no_core) == 0 && ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
    // The program's fd moves out of the way of the socket's number.
    const int high = ::fcntl(program, F_DUPFD_CLOEXEC, 10);
    if (done && high >= 0 &&
        (socket == pd_socket_fd ? ::fcntl(socket, F_SETFD, 0) == 0 : ::dup2(socket, pd_socket_fd) == pd_socket_fd)) {
        ::syscall(SYS_close_range, pd_socket_fd + 1U, ~0U, static_cast<unsigned>(CLOSE_RANGE_CLOEXEC));
        ::fexecve(high, argv, environ);
    }
    ::_exit(127);
}

} // namespace

Result<Spawned> spawn_pd(const std::string& program, const std::vector<std::string>& arguments, int socket,
                         const std::string& user) {
    const auto identity = identity_of(user);
    if (!identity) return std::unexpected(identity.error());
    // Opened here: the user of the PD need not be able to reach the file.
    const UniqueFd file(::open(program.c_str(), O_PATH | O_CLOEXEC));
    if (!file) return fail_errno(fmt::format("opening the PD program {}", program), errno);
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    Spawned spawned;
    spawned.pid = ::fork();
    if (spawned.pid == 0) become_pd(file.get(), argv.data(), socket, parent, *identity);
    if (spawned.pid < 0) return fail_errno("starting a PD process", errno);
    spawned.pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
    if (!spawned.pidfd) throw std::runtime_error("pidfd_open failed; Linux 5.4 or later is needed");
    return spawned;
}

} // namespace fastrpc::vdsp
