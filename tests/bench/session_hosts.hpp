// The hosts of sessions that run on this machine, out of this build.
#pragma once

#include "tests/stack/stack.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/types.h>
#include <vector>

namespace fastrpc::bench {

inline std::vector<pid_t> session_hosts() {
    const std::filesystem::path program = stack::build_root() / "daemon/host/fastrpc-pd";
    std::vector<pid_t> hosts;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        std::error_code gone; // processes end while we look
        if (name.find_first_not_of("0123456789") != name.npos ||
            std::filesystem::read_symlink(entry.path() / "exe", gone) != program)
            continue;
        std::ifstream file(entry.path() / "cmdline");
        const std::string command{std::istreambuf_iterator<char>(file), {}};
        if (command.find("--session") != command.npos) hosts.push_back(std::stoi(name));
    }
    return hosts;
}

} // namespace fastrpc::bench
