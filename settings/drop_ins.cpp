#include "settings/drop_ins.hpp"

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <map>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::settings {
namespace {

Result<std::string> read_text(const std::string& path, int file) {
    std::string text;
    std::array<char, 16384> piece;
    for (;;) {
        const ssize_t got = ::read(file, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(path, errno);
        if (got == 0) return text;
        text.append(piece.data(), static_cast<std::size_t>(got));
        if (text.size() > max_file_bytes)
            return fail(ErrorKind::invalid,
                        fmt::format("{}: larger than {} bytes; split it into several files", path, max_file_bytes));
    }
}

// O_NONBLOCK: a fifo of that name must not stop us before fstat has seen it. What is checked is the open file, never
// its name: what is checked is what is read.
Result<std::string> read_whole(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file && errno == ELOOP)
        return fail(ErrorKind::denied, fmt::format("{}: a symbolic link; configuration must be regular files", path),
                    ELOOP);
    if (!file) return fail_errno(path, errno);
    struct stat st {};
    if (::fstat(file.get(), &st) != 0) return fail_errno(path, errno);
    if (!S_ISREG(st.st_mode))
        return fail(ErrorKind::denied,
                    fmt::format("{}: not a regular file; configuration must be regular files", path));
    if (const Status trust = check_trust(path, st); !trust) return std::unexpected(trust.error());
    return read_text(path, file.get());
}

// Adds the files of one directory to `in_force`, over those that are there.
Status merge(const std::string& directory, std::map<std::string, std::string>& in_force) {
    UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return {};
    if (!fd) return fail_errno(directory, errno);
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail_errno(directory, errno);
    if (Status trust = check_trust(directory, st); !trust) return trust;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(fd.get()), ::closedir);
    if (!entries) return fail_errno(directory, errno);
    static_cast<void>(fd.release()); // closedir closes it
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(entries.get());
        if (entry == nullptr) break;
        const std::string name = entry->d_name;
        if (!name.starts_with('.') && name.ends_with(".json")) in_force[name] = directory + "/" + name;
        if (in_force.size() > max_files)
            return fail(
                ErrorKind::invalid,
                fmt::format("{}: with it there are more than {} files; put several into one", directory, max_files));
    }
    return errno == 0 ? Status{} : fail_errno(directory, errno);
}

} // namespace

Status check_trust(const std::string& path, const struct stat& st) {
    if (st.st_uid != 0 && st.st_uid != ::geteuid())
        return fail(ErrorKind::denied,
                    fmt::format("{}: belongs to uid {}; configuration must belong to root: chown root {}", path,
                                st.st_uid, path));
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(ErrorKind::denied, fmt::format("{}: mode {:04o} lets others than its owner write it: chmod go-w {}",
                                                   path, st.st_mode & 07777U, path));
    return {};
}

Result<std::vector<DropIn>> read_drop_ins(std::span<const std::string> directories) {
    std::map<std::string, std::string> in_force;
    for (const std::string& directory : directories)
        if (const Status merged = merge(directory, in_force); !merged) return std::unexpected(merged.error());
    std::vector<DropIn> files;
    std::size_t bytes = 0;
    for (const auto& [name, path] : in_force) {
        Result<std::string> text = read_whole(path);
        if (!text) return std::unexpected(text.error());
        bytes += text->size();
        if (bytes > max_total_bytes)
            return fail(ErrorKind::invalid,
                        fmt::format("{}: with it the files are larger than {} bytes together", path, max_total_bytes));
        files.push_back({path, std::move(*text)});
    }
    return files;
}

Result<DropIn> read_offline(const std::string& path, std::vector<std::string>& warnings) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return fail_errno(path, errno);
    struct stat of_file {
    }, of_name{};
    if (::fstat(file.get(), &of_file) != 0 || ::lstat(path.c_str(), &of_name) != 0) return fail_errno(path, errno);
    if (!S_ISREG(of_file.st_mode)) return fail(ErrorKind::invalid, fmt::format("{}: not a regular file", path));
    if (S_ISLNK(of_name.st_mode))
        warnings.push_back(fmt::format("{}: a symbolic link; configuration must be regular files", path));
    if (const Status trust = check_trust(path, of_file); !trust) warnings.push_back(trust.error().text);
    Result<std::string> text = read_text(path, file.get());
    if (!text) return std::unexpected(text.error());
    return DropIn{path, std::move(*text)};
}

} // namespace fastrpc::settings
