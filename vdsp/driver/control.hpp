// Commands to a running server, as `fastrpc-vdsp ctl` and tests send them.
#pragma once

#include "base/result.hpp"

#include <string>

namespace fastrpc::vdsp {

/// Sends "status" or "latency N" to the server at `socket`. Returns the status as JSON, or an empty text.
Result<std::string> command(const std::string& socket, const std::string& text);

} // namespace fastrpc::vdsp
