// OpenSession on D-Bus: the only use of the bus; a session needs no bus once it is open.
#pragma once

#include "base/unique_fd.hpp"
#include "client/failure.hpp"
#include "client/fastrpc.h"
#include "client/session.hpp"

#include <expected>

namespace fastrpc::core {

struct Opened {
    UniqueFd socket;
    SessionInfo info;
};

/// Asks org.fastrpc1 for a session over a connection of its own, which is closed again. Blocks, at most
/// wait_ms + 180 s. Asks again when fastrpcd went away before it had answered (restarts.hpp).
std::expected<Opened, Failure> open_on_bus(const fastrpc_open_options& options);

} // namespace fastrpc::core
