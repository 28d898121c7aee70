#include "daemon/files/open_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

constexpr std::int64_t last_position = std::numeric_limits<std::int64_t>::max();

} // namespace

OpenFile::Read OpenFile::read(std::span<std::byte> to) noexcept {
    Read result;
    while (result.bytes < to.size()) {
        const auto rest = to.subspan(result.bytes);
        const ssize_t got = ::pread(fd_.get(), rest.data(), rest.size(), static_cast<off_t>(position_));
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
    }
    at_end_ = result.end;
    return result;
}

OpenFile::Read OpenFile::read_line(std::span<std::byte> to) noexcept {
    if (to.empty()) return {};
    const std::uint64_t start = position_;
    Read result = read(to.first(to.size() - 1));
    const auto text = to.first(result.bytes);
    if (const auto newline = std::ranges::find(text, std::byte{'\n'}); newline != text.end()) {
        result.bytes = static_cast<std::size_t>(newline - text.begin()) + 1;
        result.end = at_end_ = false; // of this line's read: whatever lay beyond the newline was not read
        position_ = start + result.bytes;
    }
    std::ranges::fill(to.subspan(result.bytes), std::byte{0});
    return result;
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
    return ::fstat(fd_.get(), &status) == 0 ? 0 : errno;
}

std::int32_t OpenFiles::add(UniqueFd fd) {
    if (count_ == cap_) return -1;
    auto slot = std::ranges::find_if(slots_, [](const auto& candidate) { return !candidate.has_value(); });
    if (slot == slots_.end()) slot = slots_.emplace(slots_.end());
    slot->emplace(std::move(fd));
    ++count_;
    return first_number + static_cast<std::int32_t>(slot - slots_.begin());
}

OpenFile* OpenFiles::find(std::int32_t number) noexcept {
    if (number < first_number) return nullptr;
    const auto index = static_cast<std::size_t>(number - first_number);
    if (index >= slots_.size() || !slots_[index]) return nullptr;
    return &*slots_[index];
}

bool OpenFiles::close(std::int32_t number) noexcept {
    if (find(number) == nullptr) return false;
    slots_[static_cast<std::size_t>(number - first_number)].reset();
    --count_;
    return true;
}

} // namespace fastrpc::daemon
