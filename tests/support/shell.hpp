// A line of shell and what it printed, for tests of what people would type.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <sys/wait.h>

namespace fastrpc::test {

struct Outcome {
    int code = -1;      ///< -1: it did not come to an end of its own
    std::string output; ///< and errors
};

inline Outcome shell(const std::string& command) {
    Outcome outcome;
    FILE* pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "re");
    if (pipe == nullptr) return outcome;
    std::array<char, 4096> block{};
    for (std::size_t got = 0; (got = std::fread(block.data(), 1, block.size(), pipe)) > 0;)
        outcome.output.append(block.data(), got);
    const int status = ::pclose(pipe);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

} // namespace fastrpc::test
