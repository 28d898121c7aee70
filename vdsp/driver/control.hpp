// Commands to a running server, as `fastrpc-vdsp ctl` and tests send them.
#pragma once

#include "base/result.hpp"

#include <string>

namespace fastrpc::vdsp {

/// Sends one command (commands.hpp) to the server at `socket`, and gives its answer, a JSON text. Fails with the
/// server's own words when it refuses.
Result<std::string> command(const std::string& socket, const std::string& json);

} // namespace fastrpc::vdsp
