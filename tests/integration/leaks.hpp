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
inline std::size_t fds(pid_t pid) {
    return entries("/proc/" + std::to_string(pid) + "/fd");
}
inline std::size_t thread_count(pid_t pid) {
    return entries("/proc/" + std::to_string(pid) + "/task");
}

} // namespace fastrpc::test
