// JSON that knows where each value stands, and that refuses what a settings file must not contain: duplicate keys, deep
// nesting, bytes after the document.
//
// The tree is for reading once; numbers stay as they were written, so that the reader of the tree decides what fits.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::settings {

/// 1-based; columns count characters, not bytes.
struct Place {
    std::uint32_t line = 1;
    std::uint32_t column = 1;
};

enum class JsonType : std::uint8_t { null, boolean, integer, real, string, array, object };
/// "a string", "an array"...
std::string_view to_string(JsonType type) noexcept;

struct JsonMember;

struct JsonValue {
    JsonType type = JsonType::null;
    Place place;
    bool boolean = false;
    std::int64_t integer = 0; ///< an integer beyond int64 is read as JsonType::real
    std::string string;
    std::vector<JsonValue> items;
    std::vector<JsonMember> members; ///< in the order of the file, keys unique

    [[nodiscard]] const JsonMember* find(std::string_view key) const noexcept;
};

struct JsonMember {
    std::string key;
    Place place;
    JsonValue value;
};

inline constexpr std::size_t max_json_depth = 16;
/// Keys of one object; more than any object of ours has, few enough to search in order.
inline constexpr std::size_t max_json_keys = 64;

/// "file:line:column: what" as the text of an ErrorKind::invalid.
[[nodiscard]] std::unexpected<Error> fail_at(std::string_view file, Place place, std::string_view what);

/// Parses a whole document; `file` only names it in errors.
Result<JsonValue> parse_located(std::string_view file, std::string_view text);

} // namespace fastrpc::settings
