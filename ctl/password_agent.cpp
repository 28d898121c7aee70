#include "ctl/password_agent.hpp"

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

constexpr const char* program = "/usr/bin/pkttyagent";
constexpr int patience_ms = 5000;

[[noreturn]] void become(pid_t asker, int ready) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != asker) ::_exit(1);
    ::fcntl(ready, F_SETFD, 0);
    // Its questions go to the terminal itself; why there is no agent is told by polkit's denial.
    const int none = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) ::dup2(none, fd);
    ::execl(program, program, "--process", std::to_string(asker).c_str(), "--notify-fd", std::to_string(ready).c_str(),
            "--fallback", nullptr);
    ::_exit(127);
}

} // namespace

PasswordAgent::PasswordAgent() {
    std::array<int, 2> ends{};
    if (::access(program, X_OK) != 0 || ::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    const pid_t self = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) become(self, writing.get());
    writing.reset();
    // Closed when it is registered, and when it ends.
    pollfd closed{reading.get(), POLLIN, 0};
    if (pid_ > 0)
        while (::poll(&closed, 1, patience_ms) < 0 && errno == EINTR) {
        }
}

PasswordAgent::~PasswordAgent() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGTERM);
    ::kill(pid_, SIGCONT); // it may have been stopped as a job of the background
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

} // namespace fastrpc::ctl
