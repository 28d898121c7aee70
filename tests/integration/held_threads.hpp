// Threads of another process that are held where they are, and nobody else of it.
//
// A stop signal would hold all of them, and a thread that meets a signal inside the driver makes its call twice, which
// costs the DSP a context (KERNEL 1.14). So this holds by ptrace, which the kernel undoes when the test dies.
#pragma once

#include <filesystem>
#include <fstream>
#include <ranges>
#include <string>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <vector>

namespace fastrpc::test {

class HeldThreads {
public:
    HeldThreads() = default;
    HeldThreads(const HeldThreads&) = delete;
    HeldThreads& operator=(const HeldThreads&) = delete;
    ~HeldThreads() { let_go(); }

    /// Holds those of a host that wait for its client and for fastrpcd; false when one of them cannot be held.
    bool hold_host(pid_t host) {
        for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(host) + "/task")) {
            const pid_t thread = std::stoi(entry.path().filename());
            std::string name;
            std::getline(std::ifstream(entry.path() / "comm") >> std::ws, name);
            if (thread != host && name != "lane") continue;
            if (::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0) return false;
            held_.push_back(thread);
            if (::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0 ||
                ::waitpid(thread, nullptr, __WALL) != thread)
                return false;
        }
        return !held_.empty();
    }
    /// Those that were killed meanwhile are waited for: their process cannot go before.
    void let_go() {
        for (const pid_t thread : held_ | std::views::reverse) { // the first ends last
            if (::ptrace(PTRACE_DETACH, thread, nullptr, nullptr) == 0) continue;
            int status = 0;
            while (::waitpid(thread, &status, __WALL) == thread && !WIFEXITED(status) && !WIFSIGNALED(status)) {
            }
        }
        held_.clear();
    }

private:
    std::vector<pid_t> held_;
};

} // namespace fastrpc::test
