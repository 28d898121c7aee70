#include "ctl/pager.hpp"

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

// As the shell takes it; empty for none.
std::string command() {
    for (const char* name : {"SYSTEMD_PAGER", "PAGER"})
        if (const char* value = ::secure_getenv(name)) return std::string(value) == "cat" ? "" : value;
    return "less";
}

[[noreturn]] void become(const std::string& pager, int input) {
    ::dup2(input, STDIN_FILENO);
    // Quit when it fits on one screen, show colours, chop no line, leave the screen as it is.
    ::setenv("LESS", "FRXMK", 0);
    // A shell out of less would be one of root's, when sudo has started this for somebody who may only read.
    if (::getenv("SUDO_UID") != nullptr) ::setenv("LESSSECURE", "1", 1);
    ::execl("/bin/sh", "sh", "-c", pager.c_str(), nullptr);
    ::_exit(127);
}

} // namespace

Pager::Pager(bool wanted) {
    const std::string pager = wanted && ::isatty(STDOUT_FILENO) == 1 ? command() : "";
    std::array<int, 2> ends{};
    if (pager.empty() || ::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    const UniqueFd reading(ends[0]), writing(ends[1]);
    std::fflush(stdout);
    pid_ = ::fork();
    if (pid_ == 0) become("command -v " + pager + " >/dev/null && exec " + pager + "; exec cat", reading.get());
    if (pid_ < 0) return;          // without one, then
    std::signal(SIGPIPE, SIG_IGN); // NOLINT: who quits the pager has seen enough
    terminal_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    ::dup2(writing.get(), STDOUT_FILENO);
}

Pager::~Pager() {
    if (pid_ < 0) return;
    std::fflush(stdout);
    ::dup2(terminal_, STDOUT_FILENO); // closes the pipe, which ends the text
    ::close(terminal_);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

} // namespace fastrpc::ctl
