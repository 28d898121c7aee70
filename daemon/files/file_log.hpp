// What the DSP opened, and what it asked for and did not get: the first question of everyone who debugs a DSP.
#pragma once

#include "base/string_hash.hpp"
#include "ipc/file_report.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

/// The problem of a file that is simply absent.
inline constexpr std::string_view not_found = "not found";

/// Names that firmware asks for as a matter of course and that are missing nearly everywhere (USERSPACE 5.4).
bool is_quiet(std::string_view name) noexcept;

/// One PD's files, by the name that the DSP gave. Thread-safe: the listener writes, the control connection reads. The
/// DSP chooses the names, so there is room for the latest `most` alone.
class FileLog {
public:
    static constexpr std::size_t most = 1024;
    static constexpr std::size_t most_places = 32; ///< kept of one search

    /// `on_news` is called, on the listener's thread, after news that a person would want to see: an open, a miss. Set
    /// it before the listener starts.
    void set_observer(std::function<void()> on_news) { on_news_ = std::move(on_news); }

    void opened(std::string_view name, std::string_view place);
    /// The DSP made it itself after it had missed it.
    void appeared(std::string_view name, std::string_view place);
    /// Adds to what was read and written; no news.
    void moved(std::string_view name, std::uint64_t read, std::uint64_t written);
    /// Not noted for a quiet name. `problem` is for people and not empty.
    void missed(std::string_view name, std::string_view problem, std::vector<std::string> places);

    /// How often something was missed, and the latest: "name", or "name (problem)" where it was not simply absent.
    [[nodiscard]] std::uint64_t misses() const noexcept { return misses_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::string last_missed() const;

    /// At most `limit` reports later than `sequence`, in the order of their news.
    [[nodiscard]] std::vector<FileReport> since(std::uint64_t sequence, std::size_t limit = most) const;

private:
    FileReport& entry(std::string_view name);
    void touch(FileReport& report);

    std::function<void()> on_news_;
    std::atomic<std::uint64_t> misses_ = 0;
    mutable std::mutex mutex_;
    std::uint64_t last_sequence_ = 0;
    std::string last_missed_;
    StringMap<FileReport> reports_;
};

} // namespace fastrpc::daemon
