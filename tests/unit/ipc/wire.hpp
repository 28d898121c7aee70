// The frozen bytes of control messages: wire/control-N.txt, a name per line and its bytes in hex below.
#pragma once

#include "tests/unit/ipc/bytes.hpp"

#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

namespace fastrpc::test {

inline std::string wire_file(std::uint16_t version) {
    return std::string(WIRE_DIRECTORY) + "/control-" + std::to_string(version) + ".txt";
}

inline std::map<std::string, Bytes> read_wire(std::uint16_t version) {
    std::ifstream in(wire_file(version));
    if (!in) throw std::runtime_error(wire_file(version) + " is missing");
    std::map<std::string, std::string> digits;
    std::string name;
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line.starts_with('#')) continue;
        const bool is_name = line.find_first_not_of("0123456789abcdef ") != std::string::npos;
        if (is_name) name = line;
        digits[name] += is_name ? "" : line;
    }
    std::map<std::string, Bytes> messages;
    for (const auto& [each, text] : digits) messages[each] = hex(text);
    return messages;
}

} // namespace fastrpc::test
