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

private:
    const std::string& file_;
};

} // namespace fastrpc::settings
