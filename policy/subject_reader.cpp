#include "policy/subject_reader.hpp"

#include "policy/accounts.hpp"
#include "policy/words.hpp"
#include "settings/quote.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>

namespace fastrpc::policy {
namespace {

using settings::JsonMember, settings::JsonType, settings::JsonValue, settings::quote;

constexpr std::int64_t most_id = 0xFFFFFFFE; // 0xFFFFFFFF means "no id" to the kernel

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// No more digits than an id has.
bool is_number(std::string_view text) {
    return !text.empty() && text.size() <= 10 && std::ranges::all_of(text, is_digit);
}

// A name goes into explanations and commands, so it must be one.
bool is_account(std::string_view name) {
    return !name.empty() && name.size() <= 256 && name[0] != '-' && !is_digit(name[0]) &&
           std::ranges::all_of(name, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_' ||
                      c == '.' || c == '$' || c == '@';
           });
}

Result<std::optional<std::uint32_t>> id(const settings::Checks& checks, const JsonValue& item, std::string_view what) {
    const Result<std::int64_t> number = checks.integer(item, what, 0, most_id);
    if (!number) return std::unexpected(number.error());
    return static_cast<std::uint32_t>(*number);
}

// Number of a named account.
Result<std::optional<std::uint32_t>> account(const settings::Checks& checks, const JsonValue& item,
                                             Result<std::optional<std::uint32_t>> (*look_up)(const std::string&),
                                             std::string_view what) {
    if (!is_account(item.string))
        return checks.at(item.place, fmt::format("{} is not the name of a {}; everybody is \"any\": true",
                                                 quote(item.string), what));
    Result<std::optional<std::uint32_t>> number = look_up(item.string);
    if (!number) return checks.at(item.place, number.error().text);
    return number;
}

} // namespace

Result<std::optional<std::uint32_t>> AccountReader::user(const JsonValue& item) const {
    if (item.type == JsonType::integer) return id(*this, item, "a uid");
    if (item.type != JsonType::string)
        return at(item.place, fmt::format("a user is a name or a uid, not {}", to_string(item.type)));
    if (is_number(item.string))
        return at(item.place, fmt::format("write a uid as a number, without quotes: {}", item.string));
    return account(*this, item, uid_of, "user");
}

Result<std::optional<std::uint32_t>> AccountReader::group(const JsonValue& item) const {
    if (item.type == JsonType::integer) return id(*this, item, "a gid");
    if (item.type != JsonType::string)
        return at(item.place, fmt::format("a group is a name or a gid, not {}", to_string(item.type)));
    if (is_number(item.string))
        return at(item.place, fmt::format("write a gid as a number, without quotes: {}", item.string));
    return account(*this, item, gid_of, "group");
}

Status SubjectReader::read(const JsonValue& value, const std::string& rule, Who& who) {
    rule_ = rule;
    if (Status ok = object(value, "\"subject\"", subject_keys); !ok) return ok;
    if (value.members.empty())
        return at(value.place, R"("subject" names nobody; write "users", "groups", "labels" or "any": true)");
    for (const JsonMember& member : value.members) {
        if (member.key == "any") {
            if (Status ok = expect(member, JsonType::boolean); !ok) return ok;
            if (!member.value.boolean) return at(member.value.place, "\"any\" can only be true; else leave it out");
            if (value.members.size() > 1) return at(member.place, "\"any\" allows no other key beside it");
            who.any = true;
        } else if (Status ok = read_list(member, who); !ok) {
            return ok;
        }
    }
    return {};
}

Status SubjectReader::read_list(const JsonMember& member, Who& who) {
    if (Status ok = filled_array(member); !ok) return ok;
    who.by_user |= member.key == "users";
    who.by_group |= member.key == "groups";
    for (const JsonValue& item : member.value.items)
        if (Status ok = member.key == "users"    ? read_user(item, who)
                        : member.key == "groups" ? read_group(item, who)
                                                 : read_label(item, who);
            !ok)
            return ok;
    return {};
}

Status SubjectReader::read_user(const JsonValue& item, Who& who) {
    const bool named = item.type == JsonType::string;
    if (!named && item.type != JsonType::integer)
        return at(item.place,
                  fmt::format("a user is a name, a uid or a range \"2000-2999\", not {}", to_string(item.type)));
    if (named && !item.string.empty() && is_digit(item.string[0])) {
        const Result<UidRange> range = uid_range(item);
        if (!range) return std::unexpected(range.error());
        who.uids.push_back(*range);
    } else {
        const Result<std::optional<std::uint32_t>> uid = user(item);
        if (!uid) return std::unexpected(uid.error());
        if (*uid)
            who.uids.push_back({**uid, **uid});
        else
            warn_of_missing(item, "user");
    }
    who.users_text += (who.users_text.empty() ? "" : ", ") + (named ? item.string : std::to_string(item.integer));
    return {};
}

Status SubjectReader::read_group(const JsonValue& item, Who& who) {
    const Result<std::optional<std::uint32_t>> gid = group(item);
    if (!gid) return std::unexpected(gid.error());
    if (!*gid) warn_of_missing(item, "group");
    who.groups.push_back({item.type == JsonType::string ? item.string : std::to_string(item.integer), *gid});
    return {};
}

Status SubjectReader::read_label(const JsonValue& item, Who& who) const {
    if (item.type != JsonType::string) return mismatch(item, "a label", JsonType::string);
    if (const std::string_view fault = pattern_fault(item.string); !fault.empty())
        return at(item.place, fmt::format("{} is no label: one {}", quote(item.string), fault));
    who.labels.emplace_back(item.string);
    return {};
}

Result<UidRange> SubjectReader::uid_range(const JsonValue& item) const {
    const std::string& text = item.string;
    UidRange range;
    const char* const end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, range.first);
    if (is_number(text)) return at(item.place, fmt::format("write a uid as a number, without quotes: {}", text));
    if (first.ec == std::errc{} && *first.ptr == '-') {
        const auto last = std::from_chars(first.ptr + 1, end, range.last);
        if (last.ec == std::errc{} && last.ptr == end && range.first <= range.last && range.last <= most_id)
            return range;
    }
    return at(item.place, fmt::format("{} is not a range of uids such as \"2000-2999\"", quote(text)));
}

void SubjectReader::warn_of_missing(const JsonValue& item, std::string_view what) {
    warnings_.push_back(at(item.place, fmt::format("this machine has no {} \"{}\"; rule \"{}\" does not match it", what,
                                                   item.string, rule_))
                            .error()
                            .text);
}

} // namespace fastrpc::policy
