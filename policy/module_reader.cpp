#include "policy/module_reader.hpp"

#include "policy/words.hpp"
#include "settings/quote.hpp"

#include <fmt/core.h>

namespace fastrpc::policy {

using settings::JsonMember, settings::JsonType, settings::JsonValue, settings::quote;

Result<NamedModule> read_module(const JsonValue& value, const settings::Checks& checks) {
    if (value.type == JsonType::string) return NamedModule{&value, std::nullopt};
    if (value.type != JsonType::object)
        return checks.at(value.place, fmt::format("a module is a name or an object, not {}", to_string(value.type)));
    if (const Status ok = checks.object(value, "a module", module_keys); !ok) return std::unexpected(ok.error());
    const JsonMember* const name = value.find("name");
    if (name == nullptr) return checks.at(value.place, R"(the module has no "name"; add it)");
    if (const Status ok = checks.expect(*name, JsonType::string); !ok) return std::unexpected(ok.error());
    NamedModule module{&name->value, std::nullopt};
    if (const JsonMember* const given = value.find("sha256")) {
        const Result<Sha256> hash = read_sha256(given->value, checks);
        if (!hash) return std::unexpected(hash.error());
        module.hash = *hash;
    }
    return module;
}

Result<Sha256> read_sha256(const JsonValue& value, const settings::Checks& checks) {
    if (value.type != JsonType::string)
        return std::unexpected(checks.mismatch(value, "a SHA-256", JsonType::string).error());
    const std::optional<Sha256> hash = sha256_from(value.string);
    if (!hash)
        return checks.at(value.place, fmt::format("{} is no SHA-256: 64 hexadecimal digits, as sha256sum prints them",
                                                  quote(value.string)));
    return *hash;
}

} // namespace fastrpc::policy
