// What a process holds, to see whether it grows.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <sys/types.h>

namespace fastrpc::test {

inline std::size_t entries(const std::filesystem::path& directory) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}
/// Without timerfds: an event loop makes its one with its first timer, whenever that is.
inline std::size_t fds(pid_t pid) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        std::error_code closed_meanwhile;
        const auto what = std::filesystem::read_symlink(entry.path(), closed_meanwhile);
        if (!closed_meanwhile && what != "anon_inode:[timerfd]") ++count;
    }
    return count;
}
inline std::size_t thread_count(pid_t pid) {
    return entries("/proc/" + std::to_string(pid) + "/task");
}

} // namespace fastrpc::test
