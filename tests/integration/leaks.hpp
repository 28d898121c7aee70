// What a process, or fastrpcd, holds, to see whether it grows.
#pragma once

#include "tests/integration/system.hpp"

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
/// Of fastrpcd, without those to hosts that wait for a session, which come and go: `ready` asks it how many there are,
/// before and after the count, since one more may come in between.
template<class Ready>
std::size_t fds_in_use(pid_t fastrpcd, Ready ready) {
    for (std::size_t before = ready();;) {
        const std::size_t all = fds(fastrpcd), after = ready();
        if (after == before) return all - after;
        before = after;
    }
}
inline std::size_t broker_fds(const stack::Stack& system) {
    return fds_in_use(system.fastrpcd(),
                      [&] { return ctl_list(system)["totals"].value("hosts-ready", std::size_t{0}); });
}
inline std::size_t thread_count(pid_t pid) {
    return entries("/proc/" + std::to_string(pid) + "/task");
}

} // namespace fastrpc::test
