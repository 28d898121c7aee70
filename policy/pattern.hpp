// Names with '*' in them, and very many of them at once.
//
// '*' stands for any characters, none included; nothing else is special. That is little enough to be read at a glance,
// and costs at most the length of the text times that of the pattern.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastrpc::policy {

inline constexpr std::size_t most_pattern_length = 512;
inline constexpr std::size_t most_stars = 4;

class Pattern {
public:
    explicit Pattern(std::string text) : text_(std::move(text)) {}

    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] bool exact() const noexcept { return text_.find('*') == std::string::npos; }
    [[nodiscard]] bool matches(std::string_view name) const noexcept;
    /// Whether there is a name that both match.
    [[nodiscard]] bool overlaps(const Pattern& other) const;

private:
    std::string text_;
};

/// Why `text` is no pattern for names of its kind, as the end of "a label ..."; empty when it is one. Names are
/// printable ASCII without quotes and backslashes, which need no escape wherever they are told.
std::string_view pattern_fault(std::string_view text) noexcept;
/// Whether a rule can name exactly `name`.
bool is_plain_name(std::string_view name) noexcept;

/// Numbers for the patterns of all rules: which of them match a name is found by one search for all the exact ones, and
/// by a look at each of the others.
class PatternTable {
public:
    /// No pattern; a name always has it.
    static constexpr std::uint32_t none = 0;

    void add(const Pattern& pattern) { (pattern.exact() ? exact_ : globs_).push_back(pattern); }
    /// To be called once, after all patterns were added and before the rest is used.
    void finish();
    /// Of a pattern that was added.
    [[nodiscard]] std::uint32_t number_of(const Pattern& pattern) const noexcept;
    /// Calls `take` with `none` and the numbers of all patterns that match `name`; none does when it is empty.
    template<class Take>
    void each(std::string_view name, const Take& take) const {
        take(none);
        if (name.empty()) return;
        if (const std::optional<std::uint32_t> number = find_exact(name)) take(*number);
        for (std::size_t i = 0; i < globs_.size(); ++i)
            if (globs_[i].matches(name)) take(static_cast<std::uint32_t>(exact_.size() + i + 1));
    }

private:
    [[nodiscard]] std::optional<std::uint32_t> find_exact(std::string_view name) const noexcept;

    std::vector<Pattern> exact_; ///< sorted, as the others
    std::vector<Pattern> globs_;
};

} // namespace fastrpc::policy
