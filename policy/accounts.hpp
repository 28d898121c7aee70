// Names of users and groups to numbers, once, when a policy is loaded.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace fastrpc::policy {

/// None: there is no such account. An error of the user database is an error: taking it for "no such account" would
/// silently drop a rule that denies.
Result<std::optional<std::uint32_t>> uid_of(const std::string& user);
Result<std::optional<std::uint32_t>> gid_of(const std::string& group);

} // namespace fastrpc::policy
