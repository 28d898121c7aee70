#include "ctl/table.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace fastrpc::ctl {

using nlohmann::json;

namespace {

constexpr std::array good{"running", "online", "ready", "ok", "ALLOWED", "allow", "passed"};
constexpr std::array middling{"waiting", "attaching", "restarting", "starting", "recovering", "opening",
                              "stopped", "offline",   "absent",     "closing",  "warning",    "ASKED"};
constexpr std::array bad{"failed", "lost", "DENIED", "deny", "error"};

bool among(std::string_view word, const auto& words) {
    return std::ranges::find(words, word) != words.end();
}

} // namespace

std::string printable(std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
    // The second half of U+0080-009F, which some terminals obey as well.
    for (std::size_t i = 1; i < text.size(); ++i)
        if (text[i - 1] == '\xC2' && static_cast<unsigned char>(text[i]) < 0xA0) text[i - 1] = text[i] = '?';
    return text;
}

std::string word(const json& value) {
    if (value.is_null()) return "-";
    if (!value.is_string()) return value.dump();
    std::string text = printable(value.get<std::string>());
    return text.empty() ? "-" : text;
}

std::string paint(std::string_view state, const Style& style) {
    const char* color = !style.colors            ? nullptr
                        : among(state, good)     ? "\x1b[32m"
                        : among(state, middling) ? "\x1b[33m"
                        : among(state, bad)      ? "\x1b[1;31m"
                                                 : nullptr;
    return color == nullptr ? std::string(state) : fmt::format("{}{}\x1b[0m", color, state);
}

Row row(const json& entry, std::initializer_list<const char*> keys, const Style& style) {
    Row result;
    for (const std::string_view key : keys) {
        const std::string text = word(entry.value(key, json()));
        result.push_back(key == "state" ? paint(text, style) : text);
    }
    return result;
}

std::size_t width_of(std::string_view text) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\x1b') // one of paint()'s: what others send has none
            i = std::min(text.find('m', i), text.size());
        else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80)
            ++width;
    }
    return width;
}

std::string cut(std::string_view text, std::size_t columns) {
    if (width_of(text) <= columns) return std::string(text);
    if (columns == 0) return {};
    std::size_t end = 0;
    for (std::size_t seen = 0; end < text.size(); ++end)
        if ((static_cast<unsigned char>(text[end]) & 0xC0) != 0x80 && ++seen == columns) break;
    return std::string(text.substr(0, end)) + "~";
}

std::string table(const std::vector<Row>& rows, const Style& style) {
    const auto first = rows.begin() + (style.legend ? 0 : 1);
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (auto cells = first; cells != rows.end(); ++cells)
        for (std::size_t i = 0; i < cells->size(); ++i) widths[i] = std::max(widths[i], width_of((*cells)[i]));
    std::string text;
    for (auto cells = first; cells != rows.end(); ++cells) {
        for (std::size_t i = 0; i + 1 < cells->size(); ++i) {
            const std::string& cell = (*cells)[i];
            text += cell + std::string(widths[i] - width_of(cell) + 2, ' ');
        }
        text += cells->back() + '\n';
    }
    return text;
}

std::string span(std::uint64_t seconds) {
    if (seconds < 60) return fmt::format("{}s", seconds);
    if (seconds < 3600) return fmt::format("{}min {}s", seconds / 60, seconds % 60);
    if (seconds < 86400) return fmt::format("{}h {}min", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{}d {}h", seconds / 86400, seconds / 3600 % 24);
}

std::string amount(double bytes) {
    if (bytes < 1024) return fmt::format("{:.0f}", bytes);
    std::size_t unit = 0;
    for (bytes /= 1024; bytes >= 1024 && unit < 4; ++unit) bytes /= 1024;
    return fmt::format("{:.1f}{}", bytes, "KMGTP"[unit]);
}

std::string date_of(std::uint64_t usec) {
    if (usec == 0) return "-";
    const auto seconds = static_cast<std::time_t>(usec / 1'000'000);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    return fmt::format("{:%F %T}", local);
}

} // namespace fastrpc::ctl
