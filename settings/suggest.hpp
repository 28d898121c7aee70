// "did you mean": the known word that is nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace fastrpc::settings {

/// ` (did you mean "groups"?)`, or, when nothing is near, ` (known: "any", "users")`.
std::string suggest(std::string_view word, std::span<const std::string_view> known);

} // namespace fastrpc::settings
