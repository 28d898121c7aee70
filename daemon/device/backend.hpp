// Picks the driver that serves a PD: the one place that knows all dialects.
//
// A further dialect is one more file and one more line in the table of backend.cpp.
#pragma once

#include "daemon/device/backend_options.hpp"
#include "daemon/device/device.hpp"

#include <memory>

namespace fastrpc::daemon {

/// Opens a node of `domain` for a PD of `kind`. Where a DSP has nodes of several drivers, static PDs go to misc, which
/// has them all, and sessions to accel, if its generation serves them. ErrorKind::offline (os_error ENOENT) when there
/// is no node at all; else the error of the driver that came nearest.
Result<std::unique_ptr<Device>> open_backend(Domain domain, PdKind kind, const BackendOptions& options = {});

} // namespace fastrpc::daemon
