// Files that were found before, for as long as nothing changed in the directories that were searched.
//
// A loader asks for the same names again and again, in each of several directories. The kernel tells of every change of
// a watched directory before the call that made it returns (inotify), so one look at an empty queue replaces the
// search. Any change at all forgets everything.
#pragma once

#include "base/string_hash.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

/// Not thread-safe.
class LookupCache {
public:
    static constexpr std::size_t most = 1024; ///< files, each kept open

    struct Entry {
        UniqueFd fd;
        std::uint64_t size = 0; ///< when it was found
        std::string path;       ///< for people
    };

    /// Null where the kernel gives no queue.
    static std::unique_ptr<LookupCache> make();

    /// Watches a directory; false where its changes cannot be told: a file system whose files others change, one that
    /// is not known to tell, or no /proc to name the directory by.
    bool watch(int directory);
    /// Whether nothing changed since the last call; else everything is forgotten.
    bool unchanged();

    [[nodiscard]] const Entry* find(std::string_view name) const;
    void keep(std::string_view name, Entry entry);

private:
    explicit LookupCache(UniqueFd queue) : queue_(std::move(queue)) {}

    UniqueFd queue_;
    StringMap<Entry> entries_;
};

} // namespace fastrpc::daemon
