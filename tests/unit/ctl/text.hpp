// Looks at what fastrpcctl printed.
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace fastrpc::ctl::test {

inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

} // namespace fastrpc::ctl::test
