#include "daemon/files/file_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

/// openat2 beneath `directory`; errno is set when the fd is empty.
UniqueFd open_beneath(int directory, const std::string& path, int flags) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_NOFOLLOW | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    return UniqueFd(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

/// Why a name is refused before the file system is asked; empty when it is not.
std::string_view refusal(std::string_view name) noexcept {
    if (name.find('\0') != name.npos) return "it holds a NUL byte";
    if (name.starts_with('/')) return "it is absolute";
    while (!name.empty()) {
        const auto part = name.substr(0, name.find('/'));
        if (part == "..") return "it holds \"..\"";
        name.remove_prefix(std::min(name.size(), part.size() + 1));
    }
    return {};
}

/// Also true when it cannot be told.
bool is_procfs(int fd) noexcept {
    struct statfs system {};
    return ::fstatfs(fd, &system) != 0 || system.f_type == PROC_SUPER_MAGIC;
}

/// One candidate path of a search.
struct Attempt {
    UniqueFd fd;
    std::uint64_t size = 0;
    int error = 0;            ///< errno when there is no fd
    std::string_view refused; ///< why, when the tree itself says no
};

Attempt refuse(std::string_view why) {
    return {{}, 0, EACCES, why};
}

/// A failed openat2: the flags of open_beneath turn escapes into errors of their own.
Attempt failed(int error) {
    if (error == ELOOP) return refuse("a symbolic link is on its way");
    if (error == EXDEV) return refuse("it leaves the directory");
    return {{}, 0, error, {}};
}

Attempt try_open(int directory, const std::string& path) {
    // Only looking has no effect on a device or a FIFO, opening may: so the first fd is O_PATH.
    const UniqueFd look = open_beneath(directory, path, O_PATH);
    if (!look) return failed(errno);
    struct stat seen {};
    if (::fstat(look.get(), &seen) != 0) return failed(errno);
    // O_PATH with O_NOFOLLOW would give a final link itself; RESOLVE_NO_SYMLINKS leaves that case to us.
    if (S_ISLNK(seen.st_mode)) return refuse("it is a symbolic link");
    if (!S_ISREG(seen.st_mode)) return refuse("it is no regular file");
    if (is_procfs(look.get())) return refuse("it is a file of procfs");

    Attempt attempt;
    attempt.fd = open_beneath(directory, path, O_RDONLY | O_NONBLOCK);
    if (!attempt.fd) return failed(errno);
    struct stat opened {};
    if (::fstat(attempt.fd.get(), &opened) != 0) return failed(errno);
    if (!S_ISREG(opened.st_mode) || opened.st_dev != seen.st_dev || opened.st_ino != seen.st_ino)
        return refuse("it was exchanged while it was opened");
    attempt.size = static_cast<std::uint64_t>(opened.st_size);
    return attempt;
}

std::string quoted(std::string_view name) {
    constexpr std::size_t most = 256;
    return fmt::format("\"{}{}\"", name.substr(0, most), name.size() > most ? "..." : "");
}

} // namespace

Result<UniqueFd> open_directory(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) return fd;
    const int error = errno;
    const ErrorKind kind = error == ENOENT                     ? ErrorKind::not_found
                           : error == EACCES || error == EPERM ? ErrorKind::denied
                                                               : ErrorKind::system;
    return fail(kind, "cannot open directory " + path + ": " + errno_text(error), error);
}

Status check_directory(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        const int error = errno;
        return fail(ErrorKind::invalid, "a directory fd cannot be looked at: " + errno_text(error), error);
    }
    if (!S_ISDIR(status.st_mode))
        return fail(ErrorKind::invalid, "a fd was given as a directory and is none; open it with O_DIRECTORY", ENOTDIR);
    if (is_procfs(fd)) return fail(ErrorKind::invalid, "a directory of procfs cannot hold modules", EACCES);
    return {};
}

void FileTree::add(UniqueFd directory, std::string name) {
    directories_.push_back({std::move(directory), std::move(name)});
}

Result<OpenedFile> FileTree::open(std::string_view name) const {
    if (name.empty()) return fail(ErrorKind::not_found, "the name of a file is empty", ENOENT);
    if (name.size() > max_name_) return fail(ErrorKind::invalid, "the name of a file is too long", ENAMETOOLONG);
    if (const auto why = refusal(name); !why.empty())
        return fail(ErrorKind::denied, "file " + quoted(name) + " refused: " + std::string(why), EACCES);

    const std::string plain(name);
    const std::string of_domain = std::string(to_string(domain_)) + '/' + plain;
    int last = ENOENT;
    std::string refused;
    std::string unreadable; // the reason behind a search that ended on ENOENT only in the last directory
    for (const Directory& directory : directories_) {
        for (const std::string* path : {&of_domain, &plain}) {
            Attempt attempt = try_open(directory.fd.get(), *path);
            if (attempt.fd) return OpenedFile{std::move(attempt.fd), attempt.size, directory.name + '/' + *path};
            last = attempt.error;
            if (!attempt.refused.empty()) {
                if (refused.empty()) refused = attempt.refused;
            } else if (last != ENOENT && last != ENOTDIR && unreadable.empty()) {
                unreadable = errno_text(last) + " in " + directory.name;
            }
        }
    }
    const std::string text = "file " + quoted(name);
    if (!refused.empty()) return fail(ErrorKind::denied, text + " refused: " + refused, EACCES);
    if (!unreadable.empty()) return fail(ErrorKind::system, text + " cannot be opened: " + unreadable, last);
    return fail(ErrorKind::not_found, text + " is in none of the directories searched", last);
}

bool FileTree::exists(std::string_view name) const {
    if (name.empty() || name.size() > max_name_ || !refusal(name).empty()) return false;
    const std::string plain(name);
    const std::string of_domain = std::string(to_string(domain_)) + '/' + plain;
    for (const Directory& directory : directories_) {
        for (const std::string* path : {&of_domain, &plain}) {
            const UniqueFd look = open_beneath(directory.fd.get(), *path, O_PATH);
            struct stat seen {};
            if (look && ::fstat(look.get(), &seen) == 0 && !S_ISLNK(seen.st_mode)) return true;
        }
    }
    return false;
}

Status add_directories(FileTree& tree, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        Result<UniqueFd> directory = open_directory(path);
        if (directory)
            tree.add(std::move(*directory), path);
        else if (directory.error().kind != ErrorKind::not_found)
            return std::unexpected(directory.error());
    }
    return {};
}

} // namespace fastrpc::daemon
