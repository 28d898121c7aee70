// The hosts of sessions on this machine, out of this build: those that have one, and those that wait for one.
#pragma once

#include "tests/stack/stack.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace fastrpc::bench {

/// Whose name begins with `name`: "frpc-u" of sessions, "frpc-ready" of those that wait.
inline std::vector<pid_t> hosts_named(std::string_view named) {
    const std::filesystem::path program = stack::build_root() / "daemon/host/fastrpc-pd";
    std::vector<pid_t> hosts;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        std::error_code gone; // processes end while we look
        if (name.find_first_not_of("0123456789") != name.npos ||
            std::filesystem::read_symlink(entry.path() / "exe", gone) != program)
            continue;
        std::ifstream file(entry.path() / "comm");
        std::string its;
        if (std::getline(file, its) && its.starts_with(named)) hosts.push_back(std::stoi(name));
    }
    return hosts;
}
inline std::vector<pid_t> session_hosts() {
    return hosts_named("frpc-u");
}
inline std::vector<pid_t> ready_hosts() {
    return hosts_named("frpc-ready");
}

} // namespace fastrpc::bench
