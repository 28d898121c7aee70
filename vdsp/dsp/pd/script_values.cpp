#include "vdsp/dsp/pd/script_values.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <span>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;

std::uint64_t parse(std::string_view text) {
    const std::string_view whole = text;
    const int base = text.starts_with("0x") ? 16 : 10;
    if (base == 16) text.remove_prefix(2);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size())
        throw ScriptError(fmt::format("\"{}\" is no number", whole));
    return value;
}

void append_hex(std::string_view digits, ScriptBytes& to) {
    if (digits.size() % 2 != 0) throw ScriptError("\"hex\" has two digits per byte");
    for (std::size_t i = 0; i < digits.size(); i += 2)
        to.push_back(static_cast<std::byte>(parse("0x" + std::string(digits.substr(i, 2)))));
}

void append_text(std::string_view text, ScriptBytes& to) {
    const auto bytes = std::as_bytes(std::span(text));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_number(std::uint64_t value, std::size_t size, ScriptBytes& to) {
    for (std::size_t i = 0; i < size; ++i) to.push_back(static_cast<std::byte>(value >> 8 * i));
}

std::size_t bounded(std::uint64_t size) {
    if (size > max_script_data) throw ScriptError(fmt::format("{} bytes are more than a step may have", size));
    return size;
}

} // namespace

std::string hex_of(std::string_view bytes) {
    std::string digits;
    for (const char byte : bytes) digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return digits;
}

const ScriptValue& ScriptValues::value(const std::string& name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) throw ScriptError(fmt::format("no step saved \"{}\"", name));
    return found->second;
}

std::uint64_t ScriptValues::number(const Json& json) const {
    if (json.is_number_unsigned()) return json.get<std::uint64_t>();
    if (json.is_number_integer()) return static_cast<std::uint64_t>(json.get<std::int64_t>());
    if (!json.is_string()) throw ScriptError(json.dump() + " is no number");
    const auto& text = json.get_ref<const std::string&>();
    if (!text.starts_with('$')) return parse(text);
    const std::size_t sign = text.find_first_of("+-");
    const auto* saved = std::get_if<std::uint64_t>(&value(text.substr(1, sign == text.npos ? sign : sign - 1)));
    if (saved == nullptr) throw ScriptError(text + " is no number");
    if (sign == text.npos) return *saved;
    const std::uint64_t change = parse(std::string_view(text).substr(sign + 1));
    return text[sign] == '+' ? *saved + change : *saved - change;
}

std::string ScriptValues::text(const Json& json) const {
    if (!json.is_string()) throw ScriptError(json.dump() + " is no text");
    std::string text = json.get<std::string>();
    for (std::size_t at = 0; (at = text.find("${", at)) != text.npos;) {
        const std::size_t end = text.find('}', at);
        if (end == text.npos) throw ScriptError(text + " lacks a \"}\"");
        const ScriptValue& saved = value(text.substr(at + 2, end - at - 2));
        std::string put;
        if (const auto* number = std::get_if<std::uint64_t>(&saved)) put = std::to_string(*number);
        if (const auto* bytes = std::get_if<ScriptBytes>(&saved))
            put.assign(reinterpret_cast<const char*>(bytes->data()), bytes->size());
        text.replace(at, end + 1 - at, put);
        at += put.size();
    }
    return text;
}

ScriptBytes ScriptValues::data(const Json& json) const {
    ScriptBytes bytes;
    append(json, bytes);
    return bytes;
}

ScriptBytes ScriptValues::bytes(const Json& json) const {
    if (!json.is_string() || !json.get_ref<const std::string&>().starts_with('$')) return data(json);
    const auto* saved = std::get_if<ScriptBytes>(&value(json.get<std::string>().substr(1)));
    if (saved == nullptr) throw ScriptError(json.dump() + " is no run of bytes");
    return *saved;
}

std::vector<std::string> ScriptValues::list(const Json& json) const {
    if (json.is_string() && json.get_ref<const std::string&>().starts_with('$'))
        if (const auto* saved = std::get_if<std::vector<std::string>>(&value(json.get<std::string>().substr(1))))
            return *saved;
    if (!json.is_array()) throw ScriptError(json.dump() + " is no list");
    std::vector<std::string> texts;
    for (const Json& entry : json) texts.push_back(text(entry));
    return texts;
}

void ScriptValues::append(const Json& json, ScriptBytes& to) const {
    if (json.is_string()) {
        append_text(text(json), to);
        to.push_back(std::byte{0});
    } else if (json.is_number_integer()) {
        append_number(number(json), 4, to);
    } else if (json.is_array()) {
        for (const Json& piece : json) append(piece, to);
    } else if (json.is_object()) {
        append_object(json, to);
    } else {
        throw ScriptError(json.dump() + " describes no bytes");
    }
    bounded(to.size());
}

void ScriptValues::append_object(const Json& json, ScriptBytes& to) const {
    const auto amount = [&](const char* key) { return bounded(number(json.at(key))); };
    if (json.contains("hex")) return append_hex(text(json["hex"]), to);
    if (json.contains("text")) return append_text(text(json["text"]), to);
    if (json.contains("zeros")) return to.resize(bounded(to.size() + amount("zeros")));
    if (json.contains("fill"))
        return to.resize(bounded(to.size() + amount("fill")), static_cast<std::byte>(number(json.at("byte"))));
    if (json.contains("pattern")) {
        const std::size_t size = amount("pattern");
        const std::uint64_t seed = json.contains("seed") ? number(json["seed"]) : 0;
        for (std::size_t i = 0; i < size; ++i) to.push_back(static_cast<std::byte>(7 * i + i / 256 + 31 * seed));
        return;
    }
    if (json.contains("value")) {
        const ScriptBytes saved = bytes(json["value"]);
        to.insert(to.end(), saved.begin(), saved.end());
        return;
    }
    for (const auto& [key, size] :
         {std::pair{"u8", 1U}, std::pair{"u16", 2U}, std::pair{"u32", 4U}, std::pair{"u64", 8U}})
        if (json.contains(key)) {
            const Json& given = json[key];
            for (const Json& entry : given.is_array() ? given : Json::array({given}))
                append_number(number(entry), size, to);
            return;
        }
    throw ScriptError(json.dump() + " describes no bytes");
}

} // namespace fastrpc::vdsp
