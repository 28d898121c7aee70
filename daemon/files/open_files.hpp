// The files that a DSP has open: small numbers, each with a file and a position.
//
// Reads are pread calls straight into the reply; there is no buffer of stdio's between, which reads through it would
// only slow down, and no allocation.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/files/file_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace fastrpc::daemon {

/// One open file. Functions that return int give 0 or an errno.
class OpenFile {
public:
    struct Read {
        std::size_t bytes = 0;
        bool end = false; ///< the end of the file came before the buffer was full
        int error = 0;    ///< errno, only when nothing was read
    };
    enum class From : std::uint32_t { start = 0, position = 1, end = 2 };

    explicit OpenFile(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    /// Fills `to` from the position on, as far as the file goes.
    Read read(std::span<std::byte> to) noexcept;
    /// As C's fgets: at most one line, newline included, then a NUL; the rest of `to` is zero.
    Read read_line(std::span<std::byte> to) noexcept;
    /// EINVAL when the target is negative or above 2^63-1, or `from` is unknown.
    int seek(std::int64_t offset, From from) noexcept;
    int status(struct stat& status) const noexcept;

    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    [[nodiscard]] bool at_end() const noexcept { return at_end_; } ///< the last read met the end
    [[nodiscard]] int error() const noexcept { return error_; }    ///< errno of a failed read, until clear()
    void clear() noexcept {
        at_end_ = false;
        error_ = 0;
    }

private:
    UniqueFd fd_;
    std::uint64_t position_ = 0;
    bool at_end_ = false;
    int error_ = 0;
};

/// Not thread-safe: the listener's thread alone uses it.
class OpenFiles {
public:
    /// First number given out (USERSPACE 5.1).
    static constexpr std::int32_t first_number = 100;
    static constexpr std::size_t default_cap = 256;

    explicit OpenFiles(std::size_t cap = default_cap) : cap_(cap) {}

    /// The lowest free number for `fd`, or -1 when the cap is reached (`fd` is then closed).
    std::int32_t add(UniqueFd fd);
    /// Nothing when the number is not open. Valid until the next add() or close().
    [[nodiscard]] OpenFile* find(std::int32_t number) noexcept;
    /// False when the number is not open.
    bool close(std::int32_t number) noexcept;
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

private:
    std::size_t cap_;
    std::size_t count_ = 0;
    std::vector<std::optional<OpenFile>> slots_; ///< slot n is number first_number + n
};

} // namespace fastrpc::daemon
