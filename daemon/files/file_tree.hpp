// The files that a PD may read: an ordered list of directories, none of which a name can leave.
//
// A name from the DSP is untrusted. It is resolved by the kernel beneath a directory fd (openat2), never as a path of
// our own: no symbolic link, no magic link, no "..", no absolute name, and nothing but regular files. So a session
// reads through its client's directory fds and the host opens no path on the client's behalf.
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
    UniqueFd fd;            ///< O_RDONLY, a regular file
    std::uint64_t size = 0; ///< bytes, at the time of opening
    std::string path;       ///< for people: the directory's name and the way beneath it
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

    /// Appends a directory, searched after those added before. `name` is for messages alone.
    void add(UniqueFd directory, std::string name);
    [[nodiscard]] bool empty() const noexcept { return directories_.empty(); }

    /// Finds and opens `name` for reading, in the order of USERSPACE 5.4: per directory `<domain>/<name>`, then
    /// `<name>`. `Error::os_error` is the errno for the DSP: EACCES with ErrorKind::denied when a candidate was refused
    /// as an escape or as no regular file, else that of the last candidate (ENOENT with ErrorKind::not_found is the
    /// normal one), ENAMETOOLONG for a name above the cap. Thread-safe.
    [[nodiscard]] Result<OpenedFile> open(std::string_view name) const;

    /// Whether `name` is in the tree in any form that open() could reach, also as a directory or unreadable (USERSPACE
    /// 5.3, fileExists).
    [[nodiscard]] bool exists(std::string_view name) const;

private:
    struct Directory {
        UniqueFd fd;
        std::string name;
    };

    Domain domain_;
    std::size_t max_name_;
    std::vector<Directory> directories_;
};

/// Appends the directories of ours that are there; an absent one costs nothing, an unreadable one is an error.
Status add_directories(FileTree& tree, const std::vector<std::string>& paths);

} // namespace fastrpc::daemon
