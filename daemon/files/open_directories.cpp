#include "daemon/files/open_directories.hpp"

#include "daemon/files/overlay.hpp"

#include <cerrno>
#include <string_view>
#include <utility>

namespace fastrpc::daemon {
namespace {

int unknown(std::uint64_t handle) noexcept {
    return handle == 0 ? EINVAL : ESTALE;
}

} // namespace

std::uint64_t OpenDirectories::add(OpenedDirectory directory, int& error) {
    if (open_.size() >= cap_) {
        error = EMFILE;
        return 0;
    }
    Listing listing;
    listing.extra = std::move(directory.extra);
    for (UniqueFd& layer : directory.layers) {
        std::unique_ptr<DIR, Close> stream(::fdopendir(layer.get()));
        if (!stream) {
            error = errno;
            return 0;
        }
        [[maybe_unused]] const int owned = layer.release(); // by the stream
        listing.layers.push_back(std::move(stream));
    }
    open_.emplace(++last_, std::move(listing));
    return last_;
}

int OpenDirectories::next(std::uint64_t handle, Entry& entry) {
    const auto found = open_.find(handle);
    if (found == open_.end()) return unknown(handle);
    Listing& listing = found->second;
    entry = {};
    if (!listing.extra.empty()) {
        entry.name = std::move(listing.extra.back());
        entry.inode = 1; // of no file system; 0 would be no entry to some C libraries
        listing.extra.pop_back();
        listing.told.insert(entry.name);
        return 0;
    }
    while (listing.layer < listing.layers.size()) {
        errno = 0;
        const dirent* next = ::readdir(listing.layers[listing.layer].get());
        if (next == nullptr) {
            if (errno != 0) return errno;
            ++listing.layer;
            continue;
        }
        const std::string_view name = next->d_name;
        if (name.starts_with(draft_prefix) || listing.told.contains(name)) continue;
        if (listing.layer + 1 < listing.layers.size()) listing.told.emplace(name);
        entry = {next->d_ino, std::string(name)};
        return 0;
    }
    return 0;
}

int OpenDirectories::close(std::uint64_t handle) {
    return open_.erase(handle) != 0 ? 0 : unknown(handle);
}

} // namespace fastrpc::daemon
