// The files that a PD sees: an ordered list of directories, none of which a name can leave.
//
// A name from the DSP is untrusted. It is resolved by the kernel beneath a directory fd (confined.hpp), never as a path
// of our own: no way out, no magic link, no "..", and nothing but regular files and directories. So a session reads
// through its client's directory fds and the host opens no path on the client's behalf. An absolute name reaches a
// directory of the tree that has just that path, and nothing else; several may have the same, and are one to the DSP.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/files/confined.hpp"
#include "ipc/domain.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

class LookupCache;
class Overlay;

/// Longest name that the DSP may ask for, in bytes.
inline constexpr std::size_t max_file_name = 4096;

struct OpenedFile {
    UniqueFd fd;            ///< O_RDONLY, a regular file
    std::uint64_t size = 0; ///< bytes, at the time of opening
    std::string path;       ///< for people: the directory's name and the way beneath it
};

struct OpenedDirectory {
    std::vector<UniqueFd> layers;   ///< those that are one to the DSP; entries of earlier ones hide those of later ones
    std::vector<std::string> extra; ///< names of generated files in it
};

/// Opens a directory of ours (a vendor tree, a configured one) by path. Symbolic links in `path` are followed: it comes
/// from the administrator. ErrorKind::not_found, denied or system.
Result<UniqueFd> open_directory(const std::string& path);

/// Checks that a fd that a client sent can be a directory of a tree: a directory (O_PATH is enough), and not of procfs,
/// where "files" would be our own memory, nor of FUSE. ErrorKind::invalid otherwise. Waits for nobody.
Status check_directory(int fd);

/// How a directory stands in a tree.
struct Mount {
    std::string name; ///< for people; one that is an absolute path is also what the DSP may call the directory
    Links links = Links::refused;
    bool searched = true;  ///< relative names are looked for in it
    std::string only = {}; ///< not empty: the name is that of one file, which is called this in the directory
    std::optional<std::vector<std::string>> files = {}; ///< if there: names of files that it may have, of any depth
    std::string other_files = {};                       ///< why it has no others, for people
    Overlay* overlay = nullptr;                         ///< may be written: the directory is `beneath` this one
    std::string beneath = {};
};

class FileTree {
public:
    /// `domain` names the subdirectory that is searched first in every directory (USERSPACE 5.4).
    explicit FileTree(Domain domain, std::size_t max_name = max_file_name);
    ~FileTree();
    FileTree(FileTree&&) noexcept;
    FileTree& operator=(FileTree&&) noexcept;

    /// Appends a directory, searched after those added before.
    void add(UniqueFd directory, Mount mount);
    void add(UniqueFd directory, std::string name, Links links = Links::refused) {
        add(std::move(directory), {.name = std::move(name), .links = links});
    }
    /// Appends `beneath` of an overlay, which must outlive the tree, making it where it is not there.
    Status add_overlay(Overlay& overlay, const std::string& beneath, std::string name);
    /// A file without a place on disk, under an absolute name; found before all directories.
    Status add_generated(std::string name, std::string_view content);
    /// The file of a module, a sealed memfd, under its name without a directory; found before all directories.
    /// ErrorKind::invalid for a file that can still change.
    Status add_sealed(std::string name, UniqueFd file);
    /// Watches the directories, so that a file is searched for once (lookup_cache.hpp); for trees of our own, when all
    /// directories are added. False where they cannot be watched: then each open searches. One thread alone may use the
    /// tree from now on.
    bool remember_files();
    [[nodiscard]] bool empty() const noexcept { return directories_.empty(); }

    /// Finds and opens `name` for reading, in the order of USERSPACE 5.4: per directory `<domain>/<name>`, then
    /// `<name>`; an absolute name beneath the directory that has its longest beginning first. `Error::os_error` is the
    /// errno for the DSP: EACCES with ErrorKind::denied when a candidate was refused as an escape or as no regular
    /// file, else that of the last candidate (ENOENT with ErrorKind::not_found is the normal one), ENAMETOOLONG for a
    /// name above the cap. Thread-safe.
    [[nodiscard]] Result<OpenedFile> open(std::string_view name) const;
    /// The same in the directories that this list names, as a DSP's own search list does (USERSPACE 5.4 rule 2); an
    /// empty one stands for `name` as it is.
    [[nodiscard]] Result<OpenedFile> open(std::string_view name, const std::vector<std::string>& directories) const;

    /// The same for a directory.
    [[nodiscard]] Result<OpenedDirectory> open_directory(std::string_view name) const;

    /// The searched directories as the DSP may call them, in the order of the search, `<directory>/<domain>` only where
    /// it is; those without an absolute name are left out.
    [[nodiscard]] std::vector<std::string> search_paths() const;
    /// Which of these are directories of the tree, `<directory>/<domain>` before each.
    [[nodiscard]] std::vector<std::string> search_paths(const std::vector<std::string>& directories) const;

    /// Each place where `name` is looked for, in order, for people; none for a name that cannot be anywhere.
    [[nodiscard]] std::vector<std::string> places(std::string_view name) const;
    /// The same for a list of directories: absolute names, and what `name` itself is.
    [[nodiscard]] std::vector<std::string> places(std::string_view name,
                                                  const std::vector<std::string>& directories) const;

    /// Whether `name` is in the tree in any form that open() could reach, also as a directory or unreadable (USERSPACE
    /// 5.3, fileExists).
    [[nodiscard]] bool exists(std::string_view name) const;

    /// Where `name`, which need not be there, may be written.
    struct WritePlace {
        Overlay* overlay = nullptr;
        std::string path;           ///< in the overlay
        bool beneath_lower = false; ///< a read-only directory has the directory above it
        bool in_lower = false;      ///< ... or the name itself
    };
    /// `Error::os_error`: EROFS where nothing may be written, EACCES, EISDIR for the overlay's own name, else as
    /// open().
    [[nodiscard]] Result<WritePlace> writable(std::string_view name) const;

private:
    struct Directory {
        UniqueFd fd;
        Mount mount;
        mutable bool no_domain = false; ///< watched, and without the domain's directory
    };
    struct Generated {
        std::string name;
        UniqueFd fd; ///< a sealed memfd
        std::uint64_t size = 0;
    };
    struct Candidate {
        const Directory* directory;
        std::string path; ///< beneath it
        [[nodiscard]] std::string text() const;
    };

    /// Why `name` is nowhere, before a look; EACCES, ENOENT or ENAMETOOLONG.
    [[nodiscard]] Status check(std::string_view name) const;
    /// Where `name` is looked for; nothing but why not when it cannot be anywhere.
    /// `without_absent`: right after watched(), which knows of directories that are not there.
    [[nodiscard]] Result<std::vector<Candidate>> candidates(std::string_view name, bool without_absent = false) const;
    /// The directories are as they were, and watched.
    [[nodiscard]] bool watched() const;
    bool watch_directories() const;
    /// No link decides about a name directly in these directories: then those that are watched do.
    [[nodiscard]] static bool is_certain(const std::vector<Candidate>& places, std::size_t found);
    void add_absolute(std::string_view name, std::vector<Candidate>& found) const;
    [[nodiscard]] const Generated* generated(std::string_view name) const;
    [[nodiscard]] static bool hides(const Mount& mount, std::string_view name) noexcept;
    /// Why `name` is nowhere, when a directory may not have it.
    [[nodiscard]] std::optional<Error> hidden(std::string_view name) const;
    struct Found {
        Attempt attempt;
        std::size_t place = 0; ///< index of the candidate
    };
    static Result<Found> search(std::string_view name, const std::vector<Candidate>& places,
                                Attempt (*attempt)(int, const std::string&, Links));

    Domain domain_;
    std::size_t max_name_;
    std::vector<Directory> directories_;
    std::vector<Generated> generated_;
    mutable std::unique_ptr<LookupCache> cache_;
    mutable bool watched_ = false;
};

/// Appends the directories of ours that are there; an absent one costs nothing, an unreadable one is an error. Links in
/// them lead on: they are the administrator's.
Status add_directories(FileTree& tree, const std::vector<std::string>& paths);

} // namespace fastrpc::daemon
