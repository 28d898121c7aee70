#include "daemon/files/overlay.hpp"

#include "daemon/files/confined.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr unsigned deepest = 32; ///< directories within directories
constexpr mode_t directory_mode = 0750;

int sync(int fd) noexcept {
    return ::fsync(fd) == 0 ? 0 : errno;
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == path.npos ? std::string(".") : path.substr(0, slash);
}

std::uint64_t size_of(int directory, const std::string& name) noexcept {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    return S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

} // namespace

std::string_view leaf_of(std::string_view path) noexcept {
    return path.substr(path.rfind('/') + 1); // npos + 1 is 0
}

Overlay::Overlay(UniqueFd root, std::string path, WriteLimits limits) :
    root_(std::move(root)), path_(std::move(path)), limits_(limits),
    allowance_(static_cast<double>(limits.bytes_per_minute)) {}

Result<Overlay> Overlay::open(const std::string& path, WriteLimits limits) {
    if (::mkdir(path.c_str(), directory_mode) != 0 && errno != EEXIST) {
        const int error = errno;
        return fail(error == EACCES || error == EROFS ? ErrorKind::denied : ErrorKind::system,
                    fmt::format("cannot make directory {}, where the DSP's files are kept: {}; StateDirectory= of the "
                                "unit, or --state-dir, names one that the host may write",
                                path, errno_text(error)),
                    error);
    }
    UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root) return fail_errno("opening " + path, errno);
    Overlay overlay(std::move(root), path, limits);
    if (const Status counted = overlay.count(overlay.root_.get(), 0); !counted) return std::unexpected(counted.error());
    return overlay;
}

Status Overlay::count(int directory, unsigned depth) {
    if (depth > deepest) return fail(ErrorKind::invalid, path_ + " is too deep");
    UniqueFd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) return fail_errno("reading " + path_, errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(own.get()), ::closedir);
    if (!entries) return fail_errno("reading " + path_, errno);
    static_cast<void>(own.release()); // closedir closes it
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(entries.get());
        if (entry == nullptr) break;
        const std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (name.starts_with(draft_prefix) && ::unlinkat(directory, name.c_str(), 0) == 0) continue;
        ++entries_;
        bytes_ += size_of(directory, name);
        const UniqueFd below(
            ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!below) continue; // no directory
        if (Status counted = count(below.get(), depth + 1); !counted) return counted;
    }
    return errno == 0 ? Status{} : fail_errno("reading " + path_, errno);
}

UniqueFd Overlay::parent(const std::string& path, int& error) const {
    UniqueFd fd = open_beneath(root_.get(), parent_of(path), O_RDONLY | O_DIRECTORY, Links::refused);
    error = fd ? 0 : errno;
    return fd;
}

int Overlay::make_directories(const std::string& path) {
    if (path == ".") return 0;
    for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
        const int error = make_directory(path.substr(0, slash));
        if (error != 0 && error != EEXIST) return error;
        if (slash == path.npos) return 0;
    }
}

int Overlay::make_directory(const std::string& path) {
    if (static_cast<unsigned>(std::ranges::count(path, '/')) >= deepest) return ENAMETOOLONG;
    int error = 0;
    const UniqueFd above = parent(path, error);
    if (!above) return error;
    const std::string leaf(leaf_of(path));
    struct stat there {};
    if (::fstatat(above.get(), leaf.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
    if (error = take_entry(); error != 0) return error;
    if (::mkdirat(above.get(), leaf.c_str(), directory_mode) == 0) return sync(above.get());
    error = errno;
    give_entry();
    return error;
}

int Overlay::remove_directory(const std::string& path) {
    int error = 0;
    const UniqueFd above = parent(path, error);
    if (!above) return error;
    if (::unlinkat(above.get(), std::string(leaf_of(path)).c_str(), AT_REMOVEDIR) != 0) return errno;
    give_entry();
    return sync(above.get());
}

int Overlay::remove(const std::string& path) {
    int error = 0;
    const UniqueFd above = parent(path, error);
    if (!above) return error;
    const std::string leaf(leaf_of(path));
    const std::uint64_t size = size_of(above.get(), leaf);
    if (::unlinkat(above.get(), leaf.c_str(), 0) != 0) return errno;
    give(size);
    give_entry();
    return sync(above.get());
}

int Overlay::rename(const std::string& from, const std::string& to) {
    int error = 0;
    const UniqueFd old_parent = parent(from, error);
    if (!old_parent) return error;
    const UniqueFd new_parent = parent(to, error);
    if (!new_parent) return error;
    const std::string old_leaf(leaf_of(from));
    const std::string new_leaf(leaf_of(to));
    struct stat moved {
    }, replaced{};
    if (::fstatat(old_parent.get(), old_leaf.c_str(), &moved, AT_SYMLINK_NOFOLLOW) != 0) return errno;
    // What is in it may be as deep as is allowed, and could not be counted at the next start.
    if (S_ISDIR(moved.st_mode) && std::ranges::count(to, '/') > std::ranges::count(from, '/')) return EXDEV;
    const bool replaces = ::fstatat(new_parent.get(), new_leaf.c_str(), &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    if (replaces && moved.st_dev == replaced.st_dev && moved.st_ino == replaced.st_ino) return 0;
    if (::renameat(old_parent.get(), old_leaf.c_str(), new_parent.get(), new_leaf.c_str()) != 0) return errno;
    if (replaces) {
        give_entry();
        if (S_ISREG(replaced.st_mode)) give(static_cast<std::uint64_t>(replaced.st_size));
    }
    // The new name first: a power loss between the two leaves both, never none.
    error = sync(new_parent.get());
    return error != 0 ? error : sync(old_parent.get());
}

int Overlay::take_entry() noexcept {
    if (entries_ >= limits_.entries) return ENOSPC;
    ++entries_;
    return 0;
}

int Overlay::take(std::uint64_t bytes) noexcept {
    if (bytes_ > limits_.total_bytes || bytes > limits_.total_bytes - bytes_) return ENOSPC;
    bytes_ += bytes;
    return 0;
}

int Overlay::pace(std::uint64_t bytes, Clock::time_point now) noexcept {
    const auto rate = static_cast<double>(limits_.bytes_per_minute);
    const double minutes = std::chrono::duration<double, std::ratio<60>>(now - paced_).count();
    paced_ = now;
    allowance_ = std::min(rate, allowance_ + minutes * rate);
    if (static_cast<double>(bytes) > allowance_) return EDQUOT;
    allowance_ -= static_cast<double>(bytes);
    return 0;
}

} // namespace fastrpc::daemon
