// Structs of ioctls and kernel calls as the bytes that they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

template<class T>
std::span<const std::byte> bytes_of(const T& value) noexcept {
    return std::as_bytes(std::span(&value, 1));
}

template<class T>
std::vector<std::byte> copy_of(const T& value) {
    const auto bytes = bytes_of(value);
    return {bytes.begin(), bytes.end()};
}

/// Takes a T off the front of `bytes`; false when it is not there.
template<class T>
bool take(std::span<const std::byte>& bytes, T& value) noexcept {
    if (bytes.size() < sizeof value) return false;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return true;
}

/// The first 8 bytes as a number; missing ones are 0.
inline std::uint64_t first_u64(std::span<const std::byte> output) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, output.data(), std::min(output.size(), sizeof value));
    return value;
}

} // namespace fastrpc::vdsp
