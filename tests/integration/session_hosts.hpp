// The processes that host sessions of one system.
#pragma once

#include "base/unique_fd.hpp"
#include "tests/stack/stack.hpp"

#include <fcntl.h>
#include <filesystem>
#include <set>
#include <string>
#include <unistd.h>

namespace fastrpc::test {

/// Those that live; ones that start or end meanwhile may be among them.
inline std::set<pid_t> session_hosts(const stack::Stack& system) {
    std::set<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        // Not by a stream: one throws when the process ends between its open and its read.
        const UniqueFd file(::open((entry.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC));
        std::string line(4096, '\0');
        const ssize_t got = ::read(file.get(), line.data(), line.size());
        line.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        // The one that starts them has all these words, too, behind a name of its own.
        if (line.find("fastrpc-pd") < line.find('\0') && line.find("--session") != std::string::npos &&
            line.find(system.control_socket().string()) != std::string::npos)
            found.insert(std::stoi(name));
    }
    return found;
}

} // namespace fastrpc::test
