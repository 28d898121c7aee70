#include "settings/quote.hpp"

#include <fmt/core.h>

namespace fastrpc::settings {

std::string quote(std::string_view text) {
    constexpr std::size_t most = 64;
    std::string shown = "\"";
    std::size_t taken = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (taken >= most && (byte & 0xC0U) != 0x80U) return shown + "\"...";
        ++taken;
        if (byte < 0x20 || byte == 0x7F)
            shown += fmt::format("\\u{:04x}", byte);
        else
            shown += c;
    }
    return shown + "\"";
}

} // namespace fastrpc::settings
