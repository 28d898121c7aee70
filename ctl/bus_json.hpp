// The body of a D-Bus message as JSON: one form for every type that org.fastrpc1 uses.
#pragma once

#include "base/result.hpp"

#include <nlohmann/json.hpp>

struct sd_bus_message;

namespace fastrpc::ctl {

using nlohmann::json;

/// All arguments, as an array. ErrorKind::protocol when one has a type that fastrpcd never sends.
Result<json> read_answer(sd_bus_message* message);

} // namespace fastrpc::ctl
