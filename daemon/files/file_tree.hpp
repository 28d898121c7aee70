// The files that a PD may read: an ordered list of directories, none of which a name can leave.
//
// A name from the DSP is untrusted. It is resolved by the kernel beneath a directory fd (openat2), never as a path of
// our own: no way out, no magic link, no "..", and nothing but regular files and directories. So a session reads
// through its client's directory fds and the host opens no path on the client's behalf. An absolute name reaches a
// directory of the tree that has just that path, and nothing else.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/domain.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

/// Longest name that the DSP may ask for, in bytes.
inline constexpr std::size_t max_file_name = 4096;

struct OpenedFile {
    UniqueFd fd;            ///< O_RDONLY, a regular file or, where one was asked for, a directory
    std::uint64_t size = 0; ///< bytes, at the time of opening; of a directory 0
    std::string path;       ///< for people: the directory's name and the way beneath it
};

/// What a symbolic link in a directory of a tree does.
enum class Links {
    refused, ///< ends the way: whoever filled the directory is not trusted
    beneath, ///< leads on, as long as the way does not leave the directory
};

/// Opens a directory of ours (a vendor tree, a configured one) by path. Symbolic links in `path` are followed: it comes
/// from the administrator. ErrorKind::not_found, denied or system.
Result<UniqueFd> open_directory(const std::string& path);

/// Checks that a fd that a client sent can be a directory of a tree: a directory (O_PATH is enough), and not of procfs,
/// where "files" would be our own memory. ErrorKind::invalid otherwise.
Status check_directory(int fd);

class FileTree {
public:
    /// `domain` names the subdirectory that is searched first in every directory (USERSPACE 5.4).
    explicit FileTree(Domain domain, std::size_t max_name = max_file_name) : domain_(domain), max_name_(max_name) {}

    /// Appends a directory, searched after those added before. `name` is for messages, and one that is an absolute path
    /// is also what the DSP may call the directory.
    void add(UniqueFd directory, std::string name, Links links = Links::refused);
    [[nodiscard]] bool empty() const noexcept { return directories_.empty(); }

    /// Finds and opens `name` for reading, in the order of USERSPACE 5.4: per directory `<domain>/<name>`, then
    /// `<name>`; an absolute name beneath the directory that has its longest beginning first. `Error::os_error` is the
    /// errno for the DSP: EACCES with ErrorKind::denied when a candidate was refused as an escape or as no regular
    /// file, else that of the last candidate (ENOENT with ErrorKind::not_found is the normal one), ENAMETOOLONG for a
    /// name above the cap. Thread-safe.
    [[nodiscard]] Result<OpenedFile> open(std::string_view name) const;

    /// The same for a directory.
    [[nodiscard]] Result<OpenedFile> open_directory(std::string_view name) const;

    /// The directories as the DSP may call them, in the order of the search, `<directory>/<domain>` only where it is;
    /// those without an absolute name are left out.
    [[nodiscard]] std::vector<std::string> search_paths() const;

    /// Each place where `name` is looked for, in order, for people; none for a name that cannot be anywhere.
    [[nodiscard]] std::vector<std::string> places(std::string_view name) const;

    /// Whether `name` is in the tree in any form that open() could reach, also as a directory or unreadable (USERSPACE
    /// 5.3, fileExists).
    [[nodiscard]] bool exists(std::string_view name) const;

private:
    struct Directory {
        UniqueFd fd;
        std::string name;
        Links links = Links::refused;
    };
    struct Candidate {
        const Directory* directory;
        std::string path; ///< beneath it
    };
    struct Attempt;

    /// Where `name` is looked for; nothing but why not when it cannot be anywhere.
    [[nodiscard]] Result<std::vector<Candidate>> candidates(std::string_view name) const;
    [[nodiscard]] Result<OpenedFile> search(std::string_view name, Attempt (*attempt)(const Candidate&)) const;
    static Attempt try_file(const Candidate& candidate);
    static Attempt try_directory(const Candidate& candidate);

    Domain domain_;
    std::size_t max_name_;
    std::vector<Directory> directories_;
};

/// Appends the directories of ours that are there; an absent one costs nothing, an unreadable one is an error. Links in
/// them lead on: they are the administrator's.
Status add_directories(FileTree& tree, const std::vector<std::string>& paths);

} // namespace fastrpc::daemon
