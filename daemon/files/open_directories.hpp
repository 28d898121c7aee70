// The directories that a DSP lists: handles, each with a directory and how far it was read.
//
// Handles are never given twice, so that a stale one is found out and not taken for another's.
#pragma once

#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <dirent.h>
#include <map>
#include <memory>
#include <string>

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

    /// A new handle for `directory`, which can be read; 0 and an errno in `error` when there is none: EMFILE at the
    /// cap.
    std::uint64_t add(UniqueFd directory, int& error);
    /// The next entry, as POSIX readdir gives them; 0 or an errno: EINVAL for handle 0, ESTALE for one that is not
    /// open.
    int next(std::uint64_t handle, Entry& entry);
    /// 0 or an errno, as next().
    int close(std::uint64_t handle);
    [[nodiscard]] std::size_t count() const noexcept { return open_.size(); }

private:
    struct Close {
        void operator()(DIR* directory) const noexcept { ::closedir(directory); }
    };

    std::size_t cap_;
    std::uint64_t last_ = 0; ///< handle given out
    std::map<std::uint64_t, std::unique_ptr<DIR, Close>> open_;
};

} // namespace fastrpc::daemon
