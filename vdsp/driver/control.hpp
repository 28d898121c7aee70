// Commands to a running server, as `fastrpc-vdsp ctl` and tests send them (commands.hpp says which there are).
#pragma once

#include "base/result.hpp"

#include <string>

namespace fastrpc::vdsp {

/// Sends one of the short forms, "status" or "latency N", to the server at `socket`. Returns the status as JSON, or an
/// empty text.
Result<std::string> command(const std::string& socket, const std::string& text);
/// Sends a command in JSON, at most 64 KiB, and returns its answer. ErrorKind::invalid with the server's text when it
/// refuses.
Result<std::string> command_json(const std::string& socket, const std::string& json);

} // namespace fastrpc::vdsp
