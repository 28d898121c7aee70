#include "daemon/files/file_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/core.h>
#include <functional>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

/// Why a name is refused before the file system is asked; empty when it is not.
std::string_view refusal(std::string_view name) noexcept {
    if (name.find('\0') != name.npos) return "it holds a NUL byte";
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

std::string quoted(std::string_view name) {
    constexpr std::size_t most = 256;
    return fmt::format("\"{}{}\"", name.substr(0, most), name.size() > most ? "..." : "");
}

/// What of `name`, both tidy and absolute, lies beneath `directory`; nothing when it lies elsewhere.
std::optional<std::string_view> beneath(std::string_view name, std::string_view directory) {
    while (directory.ends_with('/')) directory.remove_suffix(1);
    if (!name.starts_with(directory)) return std::nullopt;
    name.remove_prefix(directory.size());
    if (name.empty()) return ".";
    if (name.front() != '/') return std::nullopt;
    name.remove_prefix(1);
    return name.empty() ? "." : name;
}

bool is_absolute(std::string_view name) noexcept {
    return name.starts_with('/');
}

} // namespace

/// What became of one candidate.
struct FileTree::Attempt {
    UniqueFd fd;
    std::uint64_t size = 0;
    int error = 0;            ///< errno when there is no fd
    std::string_view refused; ///< why, when the tree itself says no

    static Attempt refuse(std::string_view why) { return {{}, 0, EACCES, why}; }
    /// A failed openat2: its flags turn escapes into errors of their own.
    static Attempt failed(int error) {
        if (error == ELOOP) return refuse("a symbolic link is on its way");
        if (error == EXDEV) return refuse("it leaves the directory");
        return {{}, 0, error, {}};
    }
    /// openat2; errno is set when the fd is empty.
    static UniqueFd open(const Candidate& candidate, int flags) {
        const bool links = candidate.directory->links == Links::beneath;
        open_how how{};
        how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (links ? 0U : RESOLVE_NO_SYMLINKS);
        const int directory = candidate.directory->fd.get();
        return UniqueFd(static_cast<int>(::syscall(SYS_openat2, directory, candidate.path.c_str(), &how, sizeof how)));
    }
};

FileTree::Attempt FileTree::try_file(const Candidate& candidate) {
    // Only looking has no effect on a device or a FIFO, opening may: so the first fd is O_PATH.
    const UniqueFd look = Attempt::open(candidate, O_PATH);
    if (!look) return Attempt::failed(errno);
    struct stat seen {};
    if (::fstat(look.get(), &seen) != 0) return Attempt::failed(errno);
    if (!S_ISREG(seen.st_mode)) return Attempt::refuse("it is no regular file");
    if (is_procfs(look.get())) return Attempt::refuse("it is a file of procfs");

    Attempt attempt;
    attempt.fd = Attempt::open(candidate, O_RDONLY | O_NONBLOCK);
    if (!attempt.fd) return Attempt::failed(errno);
    struct stat opened {};
    if (::fstat(attempt.fd.get(), &opened) != 0) return Attempt::failed(errno);
    if (!S_ISREG(opened.st_mode) || opened.st_dev != seen.st_dev || opened.st_ino != seen.st_ino)
        return Attempt::refuse("it was exchanged while it was opened");
    attempt.size = static_cast<std::uint64_t>(opened.st_size);
    return attempt;
}

FileTree::Attempt FileTree::try_directory(const Candidate& candidate) {
    Attempt attempt;
    attempt.fd = Attempt::open(candidate, O_RDONLY | O_DIRECTORY);
    if (!attempt.fd) return Attempt::failed(errno);
    if (is_procfs(attempt.fd.get())) return Attempt::refuse("it is a directory of procfs");
    return attempt;
}

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

void FileTree::add(UniqueFd directory, std::string name, Links links) {
    directories_.push_back({std::move(directory), std::move(name), links});
}

Result<std::vector<FileTree::Candidate>> FileTree::candidates(std::string_view name) const {
    if (name.empty()) return fail(ErrorKind::not_found, "the name of a file is empty", ENOENT);
    if (name.size() > max_name_) return fail(ErrorKind::invalid, "the name of a file is too long", ENAMETOOLONG);
    const auto refused = [&](std::string_view why) {
        return fail(ErrorKind::denied, "file " + quoted(name) + " refused: " + std::string(why), EACCES);
    };
    if (const auto why = refusal(name); !why.empty()) return refused(why);
    std::vector<Candidate> found;
    if (!is_absolute(name)) {
        const std::string plain(name);
        const std::string of_domain = std::string(to_string(domain_)) + '/' + plain;
        for (const Directory& directory : directories_) {
            found.push_back({&directory, of_domain});
            found.push_back({&directory, plain});
        }
        return found;
    }
    const std::string tidy = std::filesystem::path(name).lexically_normal().string();
    for (const Directory& directory : directories_) {
        if (!is_absolute(directory.name)) continue;
        if (const auto rest = beneath(tidy, directory.name)) found.push_back({&directory, std::string(*rest)});
    }
    if (found.empty()) return refused("it is absolute and in no directory of the DSP's");
    std::ranges::stable_sort(found, std::greater(), [](const Candidate& one) { return one.directory->name.size(); });
    return found;
}

Result<OpenedFile> FileTree::search(std::string_view name, Attempt (*attempt)(const Candidate&)) const {
    const auto places = candidates(name);
    if (!places) return std::unexpected(places.error());
    int last = ENOENT;
    std::string refused;
    std::string unreadable; // the reason behind a search that ended on ENOENT only in the last directory
    for (const Candidate& place : *places) {
        Attempt tried = attempt(place);
        if (tried.fd) return OpenedFile{std::move(tried.fd), tried.size, place.directory->name + '/' + place.path};
        last = tried.error;
        if (!tried.refused.empty()) {
            if (refused.empty()) refused = tried.refused;
        } else if (last != ENOENT && last != ENOTDIR && unreadable.empty()) {
            unreadable = errno_text(last) + " in " + place.directory->name;
        }
    }
    const std::string text = "file " + quoted(name);
    if (!refused.empty()) return fail(ErrorKind::denied, text + " refused: " + refused, EACCES);
    if (!unreadable.empty()) return fail(ErrorKind::system, text + " cannot be opened: " + unreadable, last);
    return fail(ErrorKind::not_found, text + " is in none of the directories searched", last);
}

Result<OpenedFile> FileTree::open(std::string_view name) const {
    return search(name, &FileTree::try_file);
}

Result<OpenedFile> FileTree::open_directory(std::string_view name) const {
    return search(name, &FileTree::try_directory);
}

std::vector<std::string> FileTree::places(std::string_view name) const {
    std::vector<std::string> found;
    if (const auto places = candidates(name))
        for (const Candidate& place : *places) found.push_back(place.directory->name + '/' + place.path);
    return found;
}

bool FileTree::exists(std::string_view name) const {
    const auto places = candidates(name);
    return places && std::ranges::any_of(*places, [](const Candidate& place) {
               return static_cast<bool>(Attempt::open(place, O_PATH));
           });
}

std::vector<std::string> FileTree::search_paths() const {
    std::vector<std::string> paths;
    for (const Directory& directory : directories_) {
        if (!is_absolute(directory.name)) continue;
        const std::string domain(to_string(domain_));
        if (try_directory({&directory, domain}).fd) paths.push_back(directory.name + '/' + domain);
        paths.push_back(directory.name);
    }
    return paths;
}

Status add_directories(FileTree& tree, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        Result<UniqueFd> directory = open_directory(path);
        if (directory)
            tree.add(std::move(*directory), path, Links::beneath);
        else if (directory.error().kind != ErrorKind::not_found)
            return std::unexpected(directory.error());
    }
    return {};
}

} // namespace fastrpc::daemon
