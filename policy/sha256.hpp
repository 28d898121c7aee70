// SHA-256 of files as people write it: 64 hexadecimal digits.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fastrpc::policy {

using Sha256 = std::array<std::byte, 32>;

/// Digits of either case; none for anything else.
std::optional<Sha256> sha256_from(std::string_view digits) noexcept;
/// In small letters.
std::string to_string(const Sha256& hash);

} // namespace fastrpc::policy
