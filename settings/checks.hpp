// What every reader of a settings file checks, with errors that name the place: types, known keys, ranges.
#pragma once

#include "settings/located_json.hpp"

#include <span>
#include <string>
#include <string_view>

namespace fastrpc::settings {

/// Base of a reader of one file. `what` in errors is how a person would call the value.
class Checks {
public:
    /// `file` must outlive the object.
    explicit Checks(const std::string& file) : file_(file) {}

    [[nodiscard]] const std::string& file() const noexcept { return file_; }
    [[nodiscard]] std::unexpected<Error> at(Place place, std::string_view what) const {
        return fail_at(file_, place, what);
    }
    /// An object with no keys but the known ones; a mistyped one gets a suggestion.
    [[nodiscard]] Status object(const JsonValue& value, std::string_view what,
                                std::span<const std::string_view> known) const;
    [[nodiscard]] Status expect(const JsonMember& member, JsonType type) const;
    [[nodiscard]] Status mismatch(const JsonValue& value, std::string_view what, JsonType type) const;
    [[nodiscard]] Result<std::int64_t> integer(const JsonValue& value, std::string_view what, std::int64_t least,
                                               std::int64_t most) const;
    /// An array with at least one item.
    [[nodiscard]] Status filled_array(const JsonMember& member) const;
    /// Each string of the array, none of which stands there twice, to `take`, which says whether it knows it. `what` is
    /// one of them, with its article.
    template<class Take>
    [[nodiscard]] Status words(const JsonMember& member, std::string_view what, std::span<const std::string_view> known,
                               const Take& take) const {
        const std::vector<JsonValue>& items = member.value.items;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (Status ok = fresh_word(std::span(items).first(i + 1), what); !ok) return ok;
            if (!take(items[i].string)) return unknown_word(items[i], what, known);
        }
        return {};
    }
    /// "there is no domain "x" (did you mean...".
    [[nodiscard]] std::unexpected<Error> unknown_word(const JsonValue& item, std::string_view what,
                                                      std::span<const std::string_view> known) const;

private:
    // The last of `items` is a string and is not among those before it.
    [[nodiscard]] Status fresh_word(std::span<const JsonValue> items, std::string_view what) const;

    const std::string& file_;
};

} // namespace fastrpc::settings
