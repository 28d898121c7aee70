// What a PD may change in its tree, with POSIX's answers: files and directories of overlays (overlay.hpp).
//
// A name that a read-only tree holds as well can be replaced, since the overlay hides it, but not taken away: that is
// EROFS, and removing what was put over it brings the vendor's back.
#pragma once

#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_files.hpp"

#include <expected>
#include <string_view>

namespace fastrpc::daemon {

/// Not thread-safe: the listener's thread alone uses it. Functions that return int give 0 or an errno.
class TreeWriter {
public:
    /// Both must outlive the object.
    TreeWriter(const FileTree& tree, OpenFiles& files) : tree_(tree), files_(files) {}

    /// A file opened with a mode that writes, or an errno.
    std::expected<OpenFile, int> open(std::string_view name, const OpenMode& mode);
    /// A file or an empty directory, as C's remove.
    int remove(std::string_view name);
    int rename(std::string_view from, std::string_view to);
    int make_directory(std::string_view name);
    int remove_directory(std::string_view name);

private:
    /// Where `name` may be written, with the directories above it in the overlay; or an errno.
    std::expected<FileTree::WritePlace, int> place_of(std::string_view name);

    const FileTree& tree_;
    OpenFiles& files_;
};

} // namespace fastrpc::daemon
