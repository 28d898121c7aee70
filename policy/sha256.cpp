#include "policy/sha256.hpp"

#include <charconv>
#include <fmt/core.h>

namespace fastrpc::policy {

std::optional<Sha256> sha256_from(std::string_view digits) noexcept {
    Sha256 hash{};
    if (digits.size() != 2 * hash.size()) return std::nullopt;
    for (std::size_t i = 0; i < hash.size(); ++i) {
        const char* const at = digits.data() + 2 * i;
        unsigned value = 0;
        const auto read = std::from_chars(at, at + 2, value, 16); // takes no sign for an unsigned number
        if (read.ec != std::errc{} || read.ptr != at + 2) return std::nullopt;
        hash[i] = static_cast<std::byte>(value);
    }
    return hash;
}

std::string to_string(const Sha256& hash) {
    std::string text;
    for (const std::byte byte : hash) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
    return text;
}

} // namespace fastrpc::policy
