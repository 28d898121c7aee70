#include "daemon/files/lookup_cache.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/core.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

/// Local file systems, whose changes this kernel makes. Those without a name in the headers are f2fs and xfs.
constexpr std::array<std::uint64_t, 9> local{EXT4_SUPER_MAGIC,     BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
                                             SQUASHFS_MAGIC,       MSDOS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC,
                                             EROFS_SUPER_MAGIC_V1, 0xF2F52010,        0x58465342};

constexpr std::uint32_t changes = IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

} // namespace

std::unique_ptr<LookupCache> LookupCache::make() {
    UniqueFd queue(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    return queue ? std::unique_ptr<LookupCache>(new LookupCache(std::move(queue))) : nullptr;
}

bool LookupCache::watch(int directory) {
    struct statfs system {};
    if (::fstatfs(directory, &system) != 0) return false;
    if (std::ranges::find(local, static_cast<std::uint64_t>(system.f_type) & 0xFFFFFFFF) == local.end()) return false;
    return ::inotify_add_watch(queue_.get(), fmt::format("/proc/self/fd/{}", directory).c_str(), changes) >= 0;
}

bool LookupCache::unchanged() {
    bool same = true;
    alignas(inotify_event) std::array<char, 4096> events;
    for (;;) {
        const ssize_t got = ::read(queue_.get(), events.data(), events.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 && errno == EAGAIN) break;
        same = false; // also an error: then there is no telling
        if (got <= 0) break;
    }
    if (!same) entries_.clear();
    return same;
}

const LookupCache::Entry* LookupCache::find(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
}

void LookupCache::keep(std::string_view name, Entry entry) {
    if (entries_.size() >= most) entries_.clear();
    entries_.insert_or_assign(std::string(name), std::move(entry));
}

} // namespace fastrpc::daemon
