#include "daemon/files/draft.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr mode_t file_mode = 0640;
constexpr std::uint64_t most_tries = 64; ///< names, for one draft
constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

} // namespace

std::unique_ptr<Draft> Draft::begin(Overlay& overlay, std::string path, int source, int& error) {
    std::unique_ptr<Draft> draft(new Draft(overlay, std::move(path)));
    draft->directory_ = overlay.parent(draft->path_, error);
    if (!draft->directory_) return nullptr;
    if (error = overlay.take_entry(); error != 0) return nullptr;
    draft->charged_ = true;
    static std::uint64_t number = 0; // the listener's thread alone writes
    do {                             // one that a host left behind, and that could not be removed, keeps its number
        draft->name_ = fmt::format("{}{}", draft_prefix, ++number);
        draft->fd_ = UniqueFd(::openat(draft->directory_.get(), draft->name_.c_str(),
                                       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file_mode));
    } while (!draft->fd_ && errno == EEXIST && number % most_tries != 0);
    if (!draft->fd_) {
        error = errno;
        draft->name_.clear();
        return nullptr;
    }
    error = source < 0 ? 0 : draft->copy(source);
    if (error != 0) return nullptr;
    return draft;
}

Draft::~Draft() {
    if (!name_.empty()) ::unlinkat(directory_.get(), name_.c_str(), 0);
    overlay_.give(size_);
    if (charged_) overlay_.give_entry();
}

int Draft::copy(int source) {
    std::array<std::byte, 64U << 10> piece;
    for (;;) {
        const ssize_t got = ::pread(source, piece.data(), piece.size(), static_cast<off_t>(size_));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return 0;
        if (const int error = write(std::span(piece).first(static_cast<std::size_t>(got)), size_); error != 0)
            return error;
    }
}

int Draft::resize(std::uint64_t size) {
    if (size > most) return EFBIG;
    if (size > size_)
        if (const int error = overlay_.take(size - size_); error != 0) return error;
    if (size < size_) overlay_.give(size_ - size);
    size_ = size;
    return 0;
}

int Draft::write(std::span<const std::byte> from, std::uint64_t at) {
    if (from.empty()) return 0;
    if (at > most || from.size() > most - at) return EFBIG;
    const std::uint64_t before = size_;
    if (at + from.size() > size_)
        if (const int error = resize(at + from.size()); error != 0) return error;
    std::size_t done = 0;
    while (done < from.size()) {
        const auto rest = from.subspan(done);
        const ssize_t put = ::pwrite(fd_.get(), rest.data(), rest.size(), static_cast<off_t>(at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            const int error = put == 0 ? ENOSPC : errno;
            if (size_ > before && ::ftruncate(fd_.get(), static_cast<off_t>(before)) == 0) resize(before);
            return error;
        }
        done += static_cast<std::size_t>(put);
    }
    return 0;
}

int Draft::truncate(std::uint64_t size) {
    const std::uint64_t before = size_;
    if (const int error = resize(size); error != 0) return error;
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0) return 0;
    const int error = errno;
    resize(before);
    return error;
}

int Draft::publish() {
    if (name_.empty()) return 0;
    const std::string leaf(leaf_of(path_));
    int error = 0;
    const UniqueFd target = overlay_.parent(path_, error);
    if (!target) return error;
    struct stat replaced {};
    const bool replaces = ::fstatat(target.get(), leaf.c_str(), &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    // The bytes before the name: else a power loss could leave the name without them.
    if (::fsync(fd_.get()) != 0) return errno;
    if (::renameat(directory_.get(), name_.c_str(), target.get(), leaf.c_str()) != 0) return errno;
    name_.clear();
    if (replaces) {
        overlay_.give(static_cast<std::uint64_t>(replaced.st_size));
        overlay_.give_entry();
    }
    size_ = 0; // charged to the overlay itself from now on
    charged_ = false;
    return ::fsync(target.get()) == 0 ? 0 : errno;
}

} // namespace fastrpc::daemon
