#include "daemon/files/open_directories.hpp"

#include <cerrno>

namespace fastrpc::daemon {
namespace {

int unknown(std::uint64_t handle) noexcept {
    return handle == 0 ? EINVAL : ESTALE;
}

} // namespace

std::uint64_t OpenDirectories::add(UniqueFd directory, int& error) {
    if (open_.size() >= cap_) {
        error = EMFILE;
        return 0;
    }
    std::unique_ptr<DIR, Close> stream(::fdopendir(directory.get()));
    if (!stream) {
        error = errno;
        return 0;
    }
    [[maybe_unused]] const int owned = directory.release(); // by the stream
    open_.emplace(++last_, std::move(stream));
    return last_;
}

int OpenDirectories::next(std::uint64_t handle, Entry& entry) {
    const auto found = open_.find(handle);
    if (found == open_.end()) return unknown(handle);
    errno = 0;
    const dirent* next = ::readdir(found->second.get());
    if (next == nullptr && errno != 0) return errno;
    entry = next != nullptr ? Entry{next->d_ino, next->d_name} : Entry{};
    return 0;
}

int OpenDirectories::close(std::uint64_t handle) {
    return open_.erase(handle) != 0 ? 0 : unknown(handle);
}

} // namespace fastrpc::daemon
