#include "tests/stack/process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>

namespace fastrpc::stack {
namespace {

struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
};

Result<std::optional<Identity>> identity(const std::string& user) {
    if (user.empty()) return std::nullopt;
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr) return fail(ErrorKind::not_found, "there is no user " + user);
    return Identity{entry->pw_uid, entry->pw_gid};
}

// Makes `number` the one capability that survives execve.
bool keep_capability(int number) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    const auto word = static_cast<std::size_t>(number) / 32;
    const std::uint32_t bit = 1U << (number % 32);
    sets.at(word) = {.effective = bit, .permitted = bit, .inheritable = bit};
    return ::syscall(SYS_capset, &header, sets.data()) == 0 &&
           ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) == 0;
}

// Only async-signal-safe calls from here to execve: the caller may have threads.
[[noreturn]] void child(const Launch& launch, const std::optional<Identity>& who, char* const* argv, char* const* envp,
                        char* listen_pid) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(launch.input >= 0 ? launch.input : null, STDIN_FILENO);
    if (launch.output >= 0) ::dup2(launch.output, STDOUT_FILENO);
    if (launch.log >= 0) ::dup2(launch.log, STDERR_FILENO);
    int listener = launch.listen_fd;
    if (listener >= 0) {
        if (listener == 3)
            ::fcntl(3, F_SETFD, 0);
        else
            ::dup2(listener, 3);
        // LISTEN_PID must be our own number, which only the child knows.
        pid_t scale = 1;
        while (::getpid() / scale >= 10) scale *= 10;
        for (; scale > 0; scale /= 10) *listen_pid++ = static_cast<char>('0' + ::getpid() / scale % 10);
        *listen_pid = '\0';
    }
    ::syscall(SYS_close_range, listener >= 0 ? 4 : 3, ~0U, 0);
    if (launch.group >= 0) ::setpgid(0, launch.group);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (launch.capability >= 0) ::prctl(PR_SET_KEEPCAPS, 1);
    if (who && (::setgroups(0, nullptr) != 0 || ::setresgid(who->gid, who->gid, who->gid) != 0 ||
                ::setresuid(who->uid, who->uid, who->uid) != 0))
        ::_exit(126);
    if (launch.capability >= 0 && !keep_capability(launch.capability)) ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execve(argv[0], argv, envp);
    ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

std::string contents(int fd) {
    std::string text;
    std::array<char, 4096> piece{};
    ssize_t got = 0;
    off_t at = 0;
    while ((got = ::pread(fd, piece.data(), piece.size(), at)) > 0) {
        text.append(piece.data(), static_cast<std::size_t>(got));
        at += got;
    }
    return text;
}

} // namespace

Result<Process> Process::start(const Launch& launch) {
    const auto who = identity(launch.user);
    if (!who) return std::unexpected(who.error());
    std::vector<std::string> command = launch.command;
    std::vector<std::string> environment{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    for (const auto& [name, value] : launch.environment) environment.push_back(name + "=" + value);
    if (launch.listen_fd >= 0) {
        environment.emplace_back("LISTEN_FDS=1");
        environment.emplace_back("LISTEN_PID=0000000000");
    }
    std::vector<char*> argv = pointers(command);
    std::vector<char*> envp = pointers(environment);
    char* listen_pid = environment.back().data() + std::string("LISTEN_PID=").size();
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork", errno);
    if (pid == 0) child(launch, *who, argv.data(), envp.data(), listen_pid);
    if (launch.group >= 0) ::setpgid(pid, launch.group);
    return Process(pid);
}

Process& Process::operator=(Process&& other) noexcept {
    if (this != &other) {
        end(std::chrono::milliseconds(0));
        pid_ = std::exchange(other.pid_, -1);
        status_ = other.status_;
    }
    return *this;
}

Process::~Process() {
    end(std::chrono::milliseconds(0));
}

void Process::signal(int number) const {
    if (pid_ > 0 && !status_) ::kill(pid_, number);
}

std::optional<int> Process::wait(std::chrono::milliseconds limit) {
    if (status_ || pid_ <= 0) return status_;
    const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    pollfd wanted{handle.get(), POLLIN, 0};
    int ready = 0;
    do ready = ::poll(&wanted, 1, static_cast<int>(limit.count()));
    while (ready < 0 && errno == EINTR);
    int status = 0;
    if (ready > 0 && ::waitpid(pid_, &status, 0) == pid_) status_ = status;
    return status_;
}

void Process::end(std::chrono::milliseconds grace) {
    if (pid_ <= 0 || status_) return;
    if (grace.count() > 0) {
        signal(SIGTERM);
        if (wait(grace)) return;
    }
    signal(SIGKILL);
    wait(std::chrono::seconds(30));
}

Result<Outcome> run(Launch launch, std::chrono::milliseconds limit) {
    // Files, not pipes: nobody has to read while it runs.
    const UniqueFd output(::memfd_create("output", MFD_CLOEXEC));
    const UniqueFd errors(::memfd_create("errors", MFD_CLOEXEC));
    launch.output = output.get();
    launch.log = errors.get();
    auto process = Process::start(launch);
    if (!process) return std::unexpected(process.error());
    const auto status = process->wait(limit);
    process->end(std::chrono::milliseconds(0));
    Outcome outcome{status ? exit_code(*status) : -1, contents(output.get()), contents(errors.get())};
    if (!status) outcome.errors += "\n(killed: it did not end in time)";
    return outcome;
}

int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace fastrpc::stack
