#include "settings/checks.hpp"

#include "settings/quote.hpp"
#include "settings/suggest.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::settings {

Status Checks::object(const JsonValue& value, std::string_view what, std::span<const std::string_view> known) const {
    if (value.type != JsonType::object) return mismatch(value, what, JsonType::object);
    for (const JsonMember& member : value.members)
        if (std::ranges::find(known, member.key) == known.end())
            return at(member.place,
                      fmt::format("{} has no key {}{}", what, quote(member.key), suggest(member.key, known)));
    return {};
}

Status Checks::expect(const JsonMember& member, JsonType type) const {
    if (member.value.type == type) return {};
    return mismatch(member.value, fmt::format("\"{}\"", member.key), type);
}

Status Checks::mismatch(const JsonValue& value, std::string_view what, JsonType type) const {
    return at(value.place, fmt::format("{} must be {}, not {}", what, to_string(type), to_string(value.type)));
}

Result<std::int64_t> Checks::integer(const JsonValue& value, std::string_view what, std::int64_t least,
                                     std::int64_t most) const {
    if (value.type != JsonType::integer) return std::unexpected(mismatch(value, what, JsonType::integer).error());
    if (value.integer < least || value.integer > most)
        return at(value.place, fmt::format("{} must be from {} to {}, not {}", what, least, most, value.integer));
    return value.integer;
}

Status Checks::filled_array(const JsonMember& member) const {
    if (Status ok = expect(member, JsonType::array); !ok) return ok;
    if (member.value.items.empty())
        return at(member.value.place, fmt::format("\"{}\" is empty; name at least one", member.key));
    return {};
}

Status Checks::fresh_word(std::span<const JsonValue> items, std::string_view what) const {
    const JsonValue& item = items.back();
    if (item.type != JsonType::string) return mismatch(item, what, JsonType::string);
    const auto before = items.first(items.size() - 1);
    if (std::ranges::find(before, item.string, &JsonValue::string) != before.end())
        return at(item.place, fmt::format("{} is here twice; leave one out", quote(item.string)));
    return {};
}

std::unexpected<Error> Checks::unknown_word(const JsonValue& item, std::string_view what,
                                            std::span<const std::string_view> known) const {
    return at(item.place, fmt::format("there is no {} {}{}", what.substr(what.find(' ') + 1), quote(item.string),
                                      suggest(item.string, known)));
}

} // namespace fastrpc::settings
