// What a script describes in JSON: numbers, texts and bytes, with the values that its earlier steps saved.
//
//   number   5, -1, "0x1000", "$name", "$name+1", "$name-1"
//   text     "tmp/${name}"
//   data     "text and its NUL", 5 (a u32), [pieces, one after the other], or
//            {"hex": "00ff"} {"text": "no NUL"} {"zeros": n} {"fill": n, "byte": b} {"pattern": n, "seed": s}
//            {"u8"|"u16"|"u32"|"u64": number or list} {"value": "$name"}
//
// Byte i of a pattern is (7 i + i / 256 + 31 seed) mod 256.
//
// A script that says what cannot be is a bug of its author: it is thrown as ScriptError and ends the script, nothing
// else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fastrpc::vdsp {

/// Why a script ended before its end.
struct ScriptError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using ScriptBytes = std::vector<std::byte>;
using ScriptValue = std::variant<std::uint64_t, ScriptBytes, std::vector<std::string>>;

/// Most bytes of one data.
inline constexpr std::size_t max_script_data = std::size_t{32} << 20;

/// Two lower-case digits per byte.
std::string hex_of(std::string_view bytes);

/// Each member throws ScriptError.
class ScriptValues {
public:
    void save(const std::string& name, ScriptValue value) { values_.insert_or_assign(name, std::move(value)); }
    void forget(const std::string& name) { values_.erase(name); }
    [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }

    /// Negative ones in two's complement.
    [[nodiscard]] std::uint64_t number(const nlohmann::json& json) const;
    [[nodiscard]] std::string text(const nlohmann::json& json) const;
    [[nodiscard]] ScriptBytes data(const nlohmann::json& json) const;
    /// "$name" of saved bytes, or data.
    [[nodiscard]] ScriptBytes bytes(const nlohmann::json& json) const;
    /// A list of texts, or "$name" of a saved one.
    [[nodiscard]] std::vector<std::string> list(const nlohmann::json& json) const;

private:
    [[nodiscard]] const ScriptValue& value(const std::string& name) const;
    void append(const nlohmann::json& json, ScriptBytes& to) const;
    void append_object(const nlohmann::json& json, ScriptBytes& to) const;

    std::map<std::string, ScriptValue> values_;
};

} // namespace fastrpc::vdsp
