// The directories that a DSP lists: handles, each with a directory and how far it was read.
//
// A directory may have several layers, which are one to the DSP. Handles are never given twice, so that a stale one is
// found out and not taken for another's.
#pragma once

#include "daemon/files/file_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <dirent.h>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// Not thread-safe: the listener's thread alone uses it.
class OpenDirectories {
public:
    static constexpr std::size_t default_cap = 32;

    struct Entry {
        std::uint64_t inode = 0;
        std::string name; ///< empty at the end of the directory
    };

    explicit OpenDirectories(std::size_t cap = default_cap) : cap_(cap) {}

    /// A new handle for `directory`; 0 and an errno in `error` when there is none: EMFILE at the cap.
    std::uint64_t add(OpenedDirectory directory, int& error);
    /// The next entry, as POSIX readdir gives them, each name once; 0 or an errno: EINVAL for handle 0, ESTALE for one
    /// that is not open.
    int next(std::uint64_t handle, Entry& entry);
    /// 0 or an errno, as next().
    int close(std::uint64_t handle);
    [[nodiscard]] std::size_t count() const noexcept { return open_.size(); }

private:
    struct Close {
        void operator()(DIR* directory) const noexcept { ::closedir(directory); }
    };
    struct Listing {
        std::vector<std::string> extra; ///< still to be told, first
        std::vector<std::unique_ptr<DIR, Close>> layers;
        std::size_t layer = 0; ///< that is read now
        /// Told already, where a later layer may have the same. The last layer is not in it: it may be of any size,
        /// while those above it are overlays, which are bounded.
        std::set<std::string, std::less<>> told;
    };

    std::size_t cap_;
    std::uint64_t last_ = 0; ///< handle given out
    std::map<std::uint64_t, Listing> open_;
};

} // namespace fastrpc::daemon
