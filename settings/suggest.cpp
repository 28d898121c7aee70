#include "settings/suggest.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <numeric>
#include <utility>
#include <vector>

namespace fastrpc::settings {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Levenshtein's distance, one row at a time; capitals are no mistake that counts.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t substituted = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

} // namespace

std::string suggest(std::string_view word, std::span<const std::string_view> known) {
    constexpr std::size_t longest = 64; // a longer word is no typing mistake, and its distance costs time
    if (word.size() <= longest) {
        const auto nearest = std::ranges::min_element(known, {}, [&](std::string_view k) { return distance(word, k); });
        if (nearest != known.end() && distance(word, *nearest) <= std::max<std::size_t>(1, word.size() / 3))
            return fmt::format(" (did you mean \"{}\"?)", *nearest);
    }
    std::string list;
    for (const std::string_view k : known) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", k);
    return fmt::format(" (known: {})", list);
}

} // namespace fastrpc::settings
