// Child processes of a test system: started as some user, ended by pid, never left behind.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace fastrpc::stack {

struct Launch {
    std::vector<std::string> command;               ///< absolute program, then its arguments
    std::map<std::string, std::string> environment; ///< whole, beside PATH
    std::string user;                               ///< name; empty = ours
    int listen_fd = -1;                             ///< passed by the socket activation protocol as fd 3
    int input = -1;                                 ///< stdin; -1 = /dev/null
    int output = -1;                                ///< stdout; -1 = ours
    int log = -1;                                   ///< stderr; -1 = ours
    pid_t group = -1;                               ///< process group to join; 0 = a new one; -1 = ours
    int capability = -1; ///< that `user` gets, as a unit's AmbientCapabilities gives it; -1 = none
};

/// Kills its process when it dies first.
class Process {
public:
    static Result<Process> start(const Launch& launch);
    Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
    Process& operator=(Process&& other) noexcept;
    ~Process();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Wait status once it ended.
    [[nodiscard]] std::optional<int> status() const noexcept { return status_; }
    void signal(int number) const;
    /// The wait status once it ended, within `limit`; nothing when it still runs.
    std::optional<int> wait(std::chrono::milliseconds limit);
    /// SIGTERM, and SIGKILL after `grace`. On a busy machine the kernel's own part of an end takes seconds: the last
    /// close of an inotify instance waits for a grace period of all CPUs.
    void end(std::chrono::milliseconds grace = std::chrono::seconds(30));

private:
    explicit Process(pid_t pid) noexcept : pid_(pid) {}
    pid_t pid_ = -1;
    std::optional<int> status_;
};

struct Outcome {
    int code = -1; ///< exit code, or 128 + signal
    std::string output;
    std::string errors;
};
/// Runs to the end, with output collected; killed after `limit`.
Result<Outcome> run(Launch launch, std::chrono::milliseconds limit = std::chrono::seconds(60));
/// Exit code of a wait status, 128 + signal for a killed process.
int exit_code(int status);

} // namespace fastrpc::stack
