// Text of untrusted peers, before it reaches people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fastrpc {

/// `text` made fit for logs and D-Bus: printable ASCII, the rest as '?', at most `most` bytes.
std::string printable(std::string_view text, std::size_t most = 512);

} // namespace fastrpc
