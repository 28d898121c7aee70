// SHA-256 of module files that clients hand over, off the event loop: 64 MiB take a tenth of a second or more.
//
// One thread reads, so hashing costs one CPU at most. Uids take turns, and each may have few requests waiting: who
// floods waits for itself, another for one request of each other uid at most.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/event.hpp"
#include "ipc/grant.hpp"

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace fastrpc::broker {

/// The file of a module: a sealed memory file.
struct ModuleFile {
    std::string name;
    UniqueFd fd;
    std::uint64_t size = 0;
};

using Sha256 = std::array<std::byte, 32>;

class ModuleHashes {
public:
    /// One hash per file, in their order, or why not.
    using Done = std::function<void(Result<std::vector<Sha256>>)>;
    static constexpr std::size_t max_per_uid = 4;
    static constexpr std::size_t max_waiting = 64;

    static Result<std::unique_ptr<ModuleHashes>> start(sd_event* loop);
    /// Nobody who waits hears more.
    ~ModuleHashes();
    ModuleHashes(const ModuleHashes&) = delete;
    ModuleHashes& operator=(const ModuleHashes&) = delete;

    /// Calls `done` later, on the loop; `files` stays as it is until then. ErrorKind::busy when too many wait.
    Status hash(std::uint32_t uid, std::shared_ptr<const std::vector<ModuleFile>> files, Done done);

private:
    struct Job {
        std::uint32_t uid = 0;
        std::shared_ptr<const std::vector<ModuleFile>> files;
        Done done;
        std::optional<Result<std::vector<Sha256>>> hashes;
    };
    explicit ModuleHashes(UniqueFd bell) : bell_(std::move(bell)) {}
    void work(const std::stop_token& stop);
    void finish();

    UniqueFd bell_; ///< eventfd: a job is done
    Source ready_;
    std::mutex mutex_;
    std::condition_variable_any wanted_;
    std::map<std::uint32_t, std::deque<Job>> waiting_; ///< per uid
    std::uint32_t last_ = 0;                           ///< uid that was served last
    std::deque<Job> done_;
    std::map<std::uint32_t, std::size_t> of_uid_; ///< jobs that were not told of yet; the loop's
    std::size_t all_ = 0;
    std::jthread thread_; ///< ends first
};

} // namespace fastrpc::broker
