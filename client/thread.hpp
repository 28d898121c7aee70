// Threads of the library: no signal handler of the program's ever runs on one.
#pragma once

#include "base/result.hpp"

#include <csignal>
#include <functional>
#include <pthread.h>
#include <system_error>
#include <thread>

namespace fastrpc::core {

/// Fails with ErrorKind::system when the system has no thread left.
inline Result<std::thread> start_thread(std::function<void()> body) {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before); // for the new thread, which inherits it
    Result<std::thread> thread;
    try {
        thread = std::thread(std::move(body));
    } catch (const std::system_error& why) {
        thread = fail_errno("starting a thread", why.code().value());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

} // namespace fastrpc::core
