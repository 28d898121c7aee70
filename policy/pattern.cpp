#include "policy/pattern.hpp"

#include <algorithm>

namespace fastrpc::policy {
namespace {

bool may_stand(char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

// Not special here, but elsewhere: whoever writes one means something else than we would do.
bool looks_special(char c) {
    return std::string_view("?[]{}").find(c) != std::string_view::npos;
}

} // namespace

bool Pattern::matches(std::string_view name) const noexcept {
    // Where the last '*' was, and how much of the name it has eaten: a mismatch lets it eat one more.
    std::size_t at = 0, star = std::string::npos, eaten = 0;
    for (std::size_t i = 0; i < name.size();) {
        if (at < text_.size() && text_[at] == '*') {
            star = at++;
            eaten = i;
        } else if (at < text_.size() && text_[at] == name[i]) {
            ++at;
            ++i;
        } else if (star != std::string::npos) {
            at = star + 1;
            i = ++eaten;
        } else {
            return false;
        }
    }
    return text_.find_first_not_of('*', at) == std::string::npos;
}

bool Pattern::overlaps(const Pattern& other) const {
    if (exact()) return other.matches(text_);
    if (other.exact()) return matches(other.text_);
    // Row by row: whether what is left of both, from here on, has a name in common.
    const std::string &a = text_, &b = other.text_;
    std::vector<bool> below(b.size() + 1), row(b.size() + 1);
    for (std::size_t i = a.size() + 1; i-- > 0;) {
        for (std::size_t j = b.size() + 1; j-- > 0;) {
            const bool a_ends = i == a.size(), b_ends = j == b.size();
            if (a_ends && b_ends)
                row[j] = true;
            else if (!a_ends && a[i] == '*')
                row[j] = below[j] || (!b_ends && row[j + 1]);
            else if (!b_ends && b[j] == '*')
                row[j] = row[j + 1] || (!a_ends && below[j]);
            else
                row[j] = !a_ends && !b_ends && a[i] == b[j] && below[j + 1];
        }
        std::swap(row, below);
    }
    return below[0];
}

std::string_view pattern_fault(std::string_view text) noexcept {
    if (text.empty() || text.size() > most_pattern_length) return "has 1 to 512 characters";
    if (!std::ranges::all_of(text, may_stand)) return "is printable ASCII without '\"' and '\\'";
    if (std::ranges::any_of(text, looks_special)) return "has no other wildcard than '*'";
    if (static_cast<std::size_t>(std::ranges::count(text, '*')) > most_stars) return "has at most 4 '*'";
    return {};
}

bool is_plain_name(std::string_view name) noexcept {
    return pattern_fault(name).empty() && name.find('*') == std::string_view::npos;
}

void PatternTable::finish() {
    for (std::vector<Pattern>* patterns : {&exact_, &globs_}) {
        std::ranges::sort(*patterns, {}, &Pattern::text);
        const auto twice = std::ranges::unique(*patterns, {}, &Pattern::text);
        patterns->erase(twice.begin(), twice.end());
        patterns->shrink_to_fit();
    }
}

std::uint32_t PatternTable::number_of(const Pattern& pattern) const noexcept {
    const std::vector<Pattern>& patterns = pattern.exact() ? exact_ : globs_;
    const auto found = std::ranges::lower_bound(patterns, pattern.text(), {}, &Pattern::text);
    const std::size_t before = pattern.exact() ? 0 : exact_.size();
    return static_cast<std::uint32_t>(before + static_cast<std::size_t>(found - patterns.begin()) + 1);
}

std::optional<std::uint32_t> PatternTable::find_exact(std::string_view name) const noexcept {
    const auto found = std::ranges::lower_bound(
        exact_, name, {}, [](const Pattern& pattern) -> std::string_view { return pattern.text(); });
    if (found == exact_.end() || found->text() != name) return std::nullopt;
    return static_cast<std::uint32_t>(found - exact_.begin() + 1);
}

} // namespace fastrpc::policy
