#include "ctl/pager.hpp"

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace fastrpc::ctl {
namespace {

// A program and its arguments; none for no pager. Words, not the language of a shell: what stands in the environment of
// somebody's sudo is not to be more than the name of a program.
std::vector<std::string> command() {
    std::string text = "less";
    for (const char* name : {"PAGER", "SYSTEMD_PAGER"})
        if (const char* value = ::secure_getenv(name)) text = value;
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    if (words == std::vector<std::string>{"cat"}) words.clear();
    return words;
}

[[noreturn]] void become(std::vector<std::string>& pager, int input) {
    ::dup2(input, STDIN_FILENO);
    // Quit when it fits on one screen, show colours, chop no line, leave the screen as it is.
    ::setenv("LESS", "FRXMK", 0);
    // A shell out of less would be one of root's, when sudo has started this for somebody who may only read.
    if (::getenv("SUDO_UID") != nullptr) ::setenv("LESSSECURE", "1", 1);
    std::vector<char*> arguments;
    for (std::string& word : pager) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::execlp("cat", "cat", nullptr); // the answer is worth more than the pager
    ::_exit(127);
}

} // namespace

Pager::Pager(bool wanted) {
    std::vector<std::string> pager;
    if (wanted && ::isatty(STDOUT_FILENO) == 1) pager = command();
    std::array<int, 2> ends{};
    if (pager.empty() || ::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    const UniqueFd reading(ends[0]), writing(ends[1]);
    std::fflush(stdout);
    pid_ = ::fork();
    if (pid_ == 0) become(pager, reading.get());
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
