// A module in a file: its name, or an object with its name and the SHA-256 of its file.
#pragma once

#include "policy/sha256.hpp"
#include "settings/checks.hpp"

#include <optional>

namespace fastrpc::policy {

struct NamedModule {
    const settings::JsonValue* name = nullptr; ///< a string, of the value read
    std::optional<Sha256> hash;
};

Result<NamedModule> read_module(const settings::JsonValue& value, const settings::Checks& checks);
Result<Sha256> read_sha256(const settings::JsonValue& value, const settings::Checks& checks);

} // namespace fastrpc::policy
