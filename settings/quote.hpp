// Words of a file in messages: whatever stands in the file, the message stays one short line.
#pragma once

#include <string>
#include <string_view>

namespace fastrpc::settings {

/// `text` between double quotes, its control characters as \u00XX, and no more than its first 64 bytes or so, then
/// "...". `text` is UTF-8, as the parser lets no other through, and is cut between characters.
std::string quote(std::string_view text);

} // namespace fastrpc::settings
