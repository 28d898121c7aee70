// One file that a DSP has open: a position, and how it reads and writes.
//
// Large reads are one pread straight into the reply. Small ones in sequence come out of a buffer that was read ahead.
// Writes go to a draft, which fsync and fclose publish.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/files/draft.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace fastrpc::daemon {

/// What a mode of C's fopen allows.
struct OpenMode {
    bool read = false;
    bool write = false;
    bool create = false;    ///< the file need not be there
    bool truncate = false;  ///< what is there goes
    bool append = false;    ///< every write is at the end
    bool exclusive = false; ///< the file must not be there

    /// "r", "rb", "r+", "w", "wb+", "wx", "a", "a+"..., with the letters that C libraries ignore; else nothing.
    static std::optional<OpenMode> parse(std::string_view mode) noexcept;
};

/// Functions that return int give 0 or an errno.
class OpenFile {
public:
    struct Read {
        std::size_t bytes = 0;
        bool end = false; ///< the end of the file came before the buffer was full
        int error = 0;    ///< errno, only when nothing was read
    };
    enum class From : std::uint32_t { start = 0, position = 1, end = 2 };

    /// Bytes read ahead.
    static constexpr std::size_t ahead = 16384;

    static constexpr std::uint64_t unknown = UINT64_MAX;

    /// For reading; `size` at some time past saves a call at the end of the file.
    explicit OpenFile(UniqueFd fd, std::string name = {}, std::uint64_t size = unknown) noexcept :
        fd_(std::move(fd)), name_(std::move(name)), size_(size) {}
    /// Of an overlay, which must outlive it. `fd` is the file as it is, in whatever tree; empty where `draft` is the
    /// whole of it.
    OpenFile(UniqueFd fd, std::string name, OpenMode mode, Overlay& overlay, std::string path,
             std::unique_ptr<Draft> draft = {}) :
        fd_(std::move(fd)),
        name_(std::move(name)), mode_(mode), overlay_(&overlay), path_(std::move(path)), draft_(std::move(draft)) {}

    /// Fills `to` from the position on, as far as the file goes. EBADF where the mode does not read.
    Read read(std::span<std::byte> to) noexcept;
    /// As C's fgets: at most one line, newline included, then a NUL; the rest of `to` is zero.
    Read read_line(std::span<std::byte> to) noexcept;
    /// All of `from` at the position, or nothing. EBADF where the mode does not write.
    int write(std::span<const std::byte> from);
    /// Cuts or extends with zeros; the position stays.
    int truncate(std::int64_t size);
    /// What was written is on disk under its name when it returns 0.
    int publish();
    /// EINVAL when the target is negative or above 2^63-1, or `from` is unknown.
    int seek(std::int64_t offset, From from) noexcept;
    int status(struct stat& status) const noexcept;

    /// `from`, which may be a directory above it, is now called `to` in the overlay.
    void follow(const std::string& from, const std::string& to);
    /// Its name is gone: what is written is for its own readers alone, and ends with it.
    void orphan() noexcept { orphan_ = true; }
    /// Something written waits for publish().
    [[nodiscard]] bool drafted() const noexcept { return draft_ != nullptr; }

    [[nodiscard]] bool is_at(std::string_view path) const noexcept { return overlay_ != nullptr && path_ == path; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; } ///< by which it was opened
    [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }
    [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_written_; }
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    [[nodiscard]] bool at_end() const noexcept { return at_end_; } ///< the last read met the end
    [[nodiscard]] int error() const noexcept { return error_; }    ///< errno of a failed read or write, until clear()
    void clear() noexcept {
        at_end_ = false;
        error_ = 0;
    }

private:
    [[nodiscard]] int fd() const noexcept { return draft_ ? draft_->fd() : fd_.get(); }
    /// What of `to` the buffer has; 0 at a position that it does not cover.
    std::size_t from_buffer(std::span<std::byte> to) noexcept;
    /// One pread, into `to` or through the buffer: bytes, 0 at the end, or -1 and an errno.
    ssize_t fetch(std::span<std::byte> to) noexcept;
    int begin_draft();
    /// What is known of the bytes, which change.
    void forget() noexcept;

    UniqueFd fd_;
    std::string name_;
    OpenMode mode_{.read = true};
    Overlay* overlay_ = nullptr;
    std::string path_; ///< in the overlay
    std::unique_ptr<Draft> draft_;
    bool orphan_ = false;

    std::uint64_t position_ = 0;
    std::uint64_t sequence_ = 0; ///< where the last read ended
    std::unique_ptr<std::byte[]> buffer_;
    std::uint64_t buffer_start_ = 0;
    std::size_t buffer_size_ = 0;
    std::uint64_t size_ = unknown;
    std::uint64_t end_ = unknown; ///< where a read last met the end
    std::uint64_t bytes_read_ = 0;
    std::uint64_t bytes_written_ = 0;
    bool at_end_ = false;
    int error_ = 0;
};

} // namespace fastrpc::daemon
