#include "daemon/files/open_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

constexpr std::int64_t last_position = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t small = 4096; ///< bytes; a larger read gains nothing from a buffer

} // namespace

std::optional<OpenMode> OpenMode::parse(std::string_view mode) noexcept {
    if (mode.empty()) return std::nullopt;
    OpenMode parsed;
    switch (mode.front()) {
    case 'r':
        parsed.read = true;
        break;
    case 'w':
        parsed.write = parsed.create = parsed.truncate = true;
        break;
    case 'a':
        parsed.write = parsed.create = parsed.append = true;
        break;
    default:
        return std::nullopt;
    }
    for (const char letter : mode.substr(1)) {
        if (letter == '+') parsed.read = parsed.write = true;
        if (letter == 'x') parsed.exclusive = parsed.create;
        if (letter == ',') break; // ",ccs=..." of a libc
    }
    return parsed;
}

std::size_t OpenFile::from_buffer(std::span<std::byte> to) noexcept {
    if (position_ < buffer_start_ || position_ - buffer_start_ >= buffer_size_) return 0;
    const auto at = static_cast<std::size_t>(position_ - buffer_start_);
    const std::size_t bytes = std::min(to.size(), buffer_size_ - at);
    std::memcpy(to.data(), buffer_.get() + at, bytes);
    return bytes;
}

ssize_t OpenFile::fetch(std::span<std::byte> to) noexcept {
    const bool through = to.size() <= small && position_ == sequence_;
    if (through && !buffer_) buffer_.reset(new (std::nothrow) std::byte[ahead]);
    const std::span into = through && buffer_ ? std::span(buffer_.get(), ahead) : to;
    const ssize_t got = ::pread(fd(), into.data(), into.size(), static_cast<off_t>(position_));
    if (got <= 0) return got;
    // One that stops short met the end, unless it is before the known one: then it may have met an error.
    if (const std::uint64_t end = position_ + static_cast<std::uint64_t>(got);
        static_cast<std::size_t>(got) < into.size() && end >= size_)
        end_ = end;
    if (into.data() == to.data()) return got;
    buffer_start_ = position_;
    buffer_size_ = static_cast<std::size_t>(got);
    return static_cast<ssize_t>(from_buffer(to));
}

OpenFile::Read OpenFile::read(std::span<std::byte> to) noexcept {
    Read result;
    if (!mode_.read) {
        result.error = error_ = EBADF;
        return result;
    }
    while (result.bytes < to.size()) {
        const auto rest = to.subspan(result.bytes);
        auto got = static_cast<ssize_t>(from_buffer(rest));
        if (got == 0) got = fetch(rest);
        if (got < 0) {
            if (errno == EINTR) continue;
            error_ = errno;
            if (result.bytes == 0) result.error = error_; // else the caller gets what there is, and this next time
            break;
        }
        if (got == 0) {
            result.end = true;
            break;
        }
        result.bytes += static_cast<std::size_t>(got);
        position_ += static_cast<std::uint64_t>(got);
        sequence_ = position_;
        result.end = result.bytes < to.size() && position_ == end_;
        if (result.end) break;
    }
    bytes_read_ += result.bytes;
    at_end_ = result.end;
    return result;
}

OpenFile::Read OpenFile::read_line(std::span<std::byte> to) noexcept {
    if (to.empty()) return {};
    const std::uint64_t start = position_;
    Read result = read(to.first(to.size() - 1));
    const auto text = to.first(result.bytes);
    if (const auto newline = std::ranges::find(text, std::byte{'\n'}); newline != text.end()) {
        const std::size_t line = static_cast<std::size_t>(newline - text.begin()) + 1;
        bytes_read_ -= result.bytes - line;
        result.bytes = line;
        result.end = at_end_ = false; // of this line's read: whatever lay beyond the newline was not read
        position_ = sequence_ = start + line;
    }
    std::ranges::fill(to.subspan(result.bytes), std::byte{0});
    return result;
}

void OpenFile::forget() noexcept {
    buffer_size_ = 0;
    size_ = end_ = unknown;
}

int OpenFile::begin_draft() {
    if (draft_) return 0;
    int error = 0;
    draft_ = Draft::begin(*overlay_, path_, fd_.get(), error);
    return draft_ ? 0 : error;
}

int OpenFile::write(std::span<const std::byte> from) {
    if (!mode_.write) return EBADF;
    error_ = overlay_->pace(from.size());
    if (error_ == 0) error_ = begin_draft();
    if (error_ != 0) return error_;
    const std::uint64_t at = mode_.append ? draft_->size() : position_;
    forget();
    error_ = draft_->write(from, at);
    if (error_ != 0) return error_;
    position_ = at + from.size();
    bytes_written_ += from.size();
    return 0;
}

int OpenFile::truncate(std::int64_t size) {
    if (!mode_.write) return EINVAL; // as POSIX says of a file that is not open for writing
    if (size < 0) return EINVAL;
    if (const int error = begin_draft(); error != 0) return error;
    forget();
    return draft_->truncate(static_cast<std::uint64_t>(size));
}

int OpenFile::publish() {
    if (!draft_ || orphan_) return 0;
    if (const int error = draft_->publish(); error != 0) return error_ = error;
    fd_ = draft_->take_fd();
    draft_.reset();
    return 0;
}

void OpenFile::follow(const std::string& from, const std::string& to) {
    if (path_ == from)
        path_ = to;
    else if (path_.starts_with(from + '/'))
        path_.replace(0, from.size(), to);
    if (draft_) draft_->move_to(path_);
}

int OpenFile::seek(std::int64_t offset, From from) noexcept {
    std::int64_t base = 0;
    switch (from) {
    case From::start:
        break;
    case From::position:
        base = static_cast<std::int64_t>(position_);
        break;
    case From::end: {
        struct stat now {};
        if (const int error = status(now); error != 0) return error;
        base = now.st_size;
        break;
    }
    default:
        return EINVAL;
    }
    if (offset > 0 && base > last_position - offset) return EINVAL;
    if (base + offset < 0) return EINVAL; // base is never negative, so this cannot underflow
    position_ = static_cast<std::uint64_t>(base + offset);
    at_end_ = false;
    return 0;
}

int OpenFile::status(struct stat& status) const noexcept {
    return ::fstat(fd(), &status) == 0 ? 0 : errno;
}

} // namespace fastrpc::daemon
