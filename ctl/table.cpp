#include "ctl/table.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace fastrpc::ctl {

using nlohmann::json;

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

Row row(const json& entry, std::initializer_list<const char*> keys) {
    Row result;
    for (const char* key : keys) result.push_back(word(entry.value(key, json())));
    return result;
}

// Columns as wide as their widest cell; the last one is not padded.
std::string table(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (const Row& cells : rows)
        for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
    std::string text;
    for (const Row& cells : rows) {
        for (std::size_t i = 0; i + 1 < cells.size(); ++i) text += fmt::format("{:<{}}  ", cells[i], widths[i]);
        text += cells.back() + '\n';
    }
    return text;
}

} // namespace fastrpc::ctl
