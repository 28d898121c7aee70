// The directory that a PD may write: what its sensors firmware keeps, above read-only vendor trees (USERSPACE 5.9).
//
// Files appear in it whole or not at all (draft.hpp). The DSP is not trusted: what it stores, how many names it makes
// and how fast it writes have limits, and nothing of it is followed as a link.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

struct WriteLimits {
    std::uint64_t total_bytes = 256U << 20;     ///< of all files, drafts included
    std::uint32_t entries = 16384;              ///< files and directories, drafts included
    std::uint64_t bytes_per_minute = 64U << 20; ///< written by the DSP
};

/// Names of drafts begin with this; nobody can look them up.
inline constexpr std::string_view draft_prefix = ".fastrpc-draft-";

/// Not thread-safe: the listener's thread alone uses it. Functions that return int give 0 or an errno; paths are
/// relative, tidy and without "..".
class Overlay {
public:
    using Clock = std::chrono::steady_clock;

    /// Opens `path`, making it where it is not there (but not its parent), counts what is in it and removes drafts that
    /// a host left behind. ErrorKind::denied, not_found or system say what to do.
    static Result<Overlay> open(const std::string& path, WriteLimits limits = {});

    [[nodiscard]] int directory() const noexcept { return root_.get(); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::uint32_t entries() const noexcept { return entries_; }

    /// Makes `path` and the directories above it that are not there; on disk when it returns.
    int make_directories(const std::string& path);
    int make_directory(const std::string& path);
    int remove_directory(const std::string& path);
    int remove(const std::string& path);
    /// Within the overlay; replaces a file that is there, as rename(2) does. A directory never moves deeper: EXDEV, to
    /// which programs answer by copying.
    int rename(const std::string& from, const std::string& to);

    /// The directory above `path`; empty, and an errno, when it is not there.
    UniqueFd parent(const std::string& path, int& error) const;

    // The account, for drafts. ENOSPC or EDQUOT when it does not fit.
    int take_entry() noexcept;
    void give_entry() noexcept { --entries_; }
    int take(std::uint64_t bytes) noexcept;
    void give(std::uint64_t bytes) noexcept { bytes_ -= bytes; }
    /// Before `bytes` of the DSP's are written, at `now`.
    int pace(std::uint64_t bytes, Clock::time_point now = Clock::now()) noexcept;

private:
    Overlay(UniqueFd root, std::string path, WriteLimits limits);
    Status count(int directory, unsigned depth);

    UniqueFd root_;
    std::string path_;
    WriteLimits limits_;
    std::uint64_t bytes_ = 0;
    std::uint32_t entries_ = 0;
    double allowance_; ///< bytes that may be written now
    Clock::time_point paced_ = Clock::now();
};

/// "c" of "a/b/c".
std::string_view leaf_of(std::string_view path) noexcept;

} // namespace fastrpc::daemon
