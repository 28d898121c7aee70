// The QDA accel driver, /dev/accel/accelN: finding the node of a DSP, and what its generations can serve (KERNEL 2).
//
// GEM handles and packing stay in accel.cpp: the next generation is one more file beside it.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/device/accel_probe.hpp"
#include "daemon/device/backend_options.hpp"
#include "daemon/device/device.hpp"

#include <memory>
#include <string>

namespace fastrpc::daemon {

/// Asks every node for its DSP and opens the one of `domain`. ErrorKind::offline when none is there (ENOENT) or lets us
/// in (EACCES); unsupported, with the reason, when this generation can't or must not serve a PD of `kind`; busy when no
/// context bank is left.
Result<std::unique_ptr<Device>> open_accel(Domain domain, PdKind kind, const BackendOptions& options = {});

/// A Device on an open accel node.
std::unique_ptr<Device> make_accel(Kernel& kernel, UniqueFd fd, std::string node, AccelGeneration generation);

} // namespace fastrpc::daemon
