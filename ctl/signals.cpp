#include "ctl/signals.hpp"

#include <cerrno>
#include <csignal>
#include <sys/signalfd.h>

namespace fastrpc::ctl {

Result<UniqueFd> signals(std::initializer_list<int> numbers) {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    for (const int number : numbers) ::sigaddset(&wanted, number);
    ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
    std::signal(SIGPIPE, SIG_IGN); // NOLINT: a write then fails instead
    UniqueFd fd(::signalfd(-1, &wanted, SFD_CLOEXEC));
    if (!fd) return fail_errno("waiting for signals", errno);
    return fd;
}

} // namespace fastrpc::ctl
