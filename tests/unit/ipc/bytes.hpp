// Bytes as people write them.
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::test {

using Bytes = std::vector<std::byte>;

/// "08 00 ff": spaces and newlines do not count.
inline Bytes hex(std::string_view text) {
    Bytes bytes;
    std::string digits;
    for (const char c : text) {
        if (c == ' ' || c == '\n') continue;
        digits += c;
        if (digits.size() < 2) continue;
        bytes.push_back(static_cast<std::byte>(std::stoi(digits, nullptr, 16)));
        digits.clear();
    }
    if (!digits.empty()) throw std::logic_error("half a byte");
    return bytes;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// A C string with its NUL, as the protocol carries strings.
inline Bytes c_string(std::string_view text) {
    const auto run = std::as_bytes(std::span(text));
    Bytes bytes(run.begin(), run.end());
    bytes.push_back(std::byte{0});
    return bytes;
}

inline Bytes copy(std::span<const std::byte> bytes) {
    return {bytes.begin(), bytes.end()};
}

} // namespace fastrpc::test
