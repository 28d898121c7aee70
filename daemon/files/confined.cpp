#include "daemon/files/confined.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <fstream>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

/// The mount of a file whose handles look like those of FUSE, which no file system with a disk of its own has in common
/// with it.
std::optional<int> mount_like_fuse(int fd) noexcept {
    constexpr int plain = 0x81, with_parent = 0x82;
    constexpr int only_to_tell_apart = 0x200; // AT_HANDLE_FID: newer kernels have no others of some FUSE
    struct statx status {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0 || status.stx_dev_major != 0)
        return std::nullopt;
    for (const int flags : {AT_EMPTY_PATH, AT_EMPTY_PATH | only_to_tell_apart}) {
        alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> room{};
        auto* handle = reinterpret_cast<file_handle*>(room.data());
        handle->handle_bytes = MAX_HANDLE_SZ;
        int mount = 0;
        if (::name_to_handle_at(fd, "", handle, &mount, flags) == 0)
            return handle->handle_type == plain || handle->handle_type == with_parent ? std::optional(mount)
                                                                                      : std::nullopt;
    }
    return std::nullopt;
}

/// Empty for one that this process does not see: of another namespace, or of none.
std::string type_of_mount(int id) {
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        if (!line.starts_with(fmt::format("{} ", id))) continue;
        const std::size_t dash = line.find(" - ");
        return dash == line.npos ? "" : line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
    }
    return {};
}

} // namespace

Attempt Attempt::refuse(std::string_view why) {
    return {{}, 0, EACCES, why};
}

Attempt Attempt::failed(int error) {
    if (error == ELOOP) return refuse("a symbolic link is on its way");
    if (error == EXDEV) return refuse("it leaves the directory, or what is mounted there");
    return {{}, 0, error, {}};
}

std::string_view refusal(std::string_view name) noexcept {
    if (name.find('\0') != name.npos) return "it holds a NUL byte";
    while (!name.empty()) {
        const auto part = name.substr(0, name.find('/'));
        if (part == "..") return "it holds \"..\"";
        name.remove_prefix(std::min(name.size(), part.size() + 1));
    }
    return {};
}

bool is_procfs(int fd) noexcept {
    struct statfs system {};
    return ::fstatfs(fd, &system) != 0 || system.f_type == PROC_SUPER_MAGIC;
}

bool is_fuse(int fd) {
    const auto mount = mount_like_fuse(fd);
    if (!mount) return false;
    const std::string type = type_of_mount(*mount);
    return type.empty() || type.starts_with("fuse");
}

UniqueFd open_beneath(int directory, const std::string& path, int flags, Links links, std::uint32_t mode) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
                  (links == Links::beneath ? 0U : RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    return UniqueFd(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

Attempt open_file_beneath(int directory, const std::string& path, Links links) {
    // Only looking has no effect on a device or a FIFO, opening may: so the first fd is O_PATH.
    const UniqueFd look = open_beneath(directory, path, O_PATH, links);
    if (!look) return Attempt::failed(errno);
    struct stat seen {};
    if (::fstat(look.get(), &seen) != 0) return Attempt::failed(errno);
    if (!S_ISREG(seen.st_mode)) return Attempt::refuse("it is no regular file");
    if (is_procfs(look.get())) return Attempt::refuse("it is a file of procfs");

    Attempt attempt;
    attempt.fd = open_beneath(directory, path, O_RDONLY | O_NONBLOCK, links);
    if (!attempt.fd) return Attempt::failed(errno);
    struct stat opened {};
    if (::fstat(attempt.fd.get(), &opened) != 0) return Attempt::failed(errno);
    if (!S_ISREG(opened.st_mode) || opened.st_dev != seen.st_dev || opened.st_ino != seen.st_ino)
        return Attempt::refuse("it was exchanged while it was opened");
    attempt.size = static_cast<std::uint64_t>(opened.st_size);
    return attempt;
}

Attempt open_directory_beneath(int directory, const std::string& path, Links links) {
    Attempt attempt;
    attempt.fd = open_beneath(directory, path, O_RDONLY | O_DIRECTORY, links);
    if (!attempt.fd) return Attempt::failed(errno);
    if (is_procfs(attempt.fd.get())) return Attempt::refuse("it is a directory of procfs");
    return attempt;
}

} // namespace fastrpc::daemon
