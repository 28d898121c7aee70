// The upstream misc driver, /dev/fastrpc-<domain>[-secure]: finding and opening the node (USERSPACE 1.2, KERNEL 1.1).
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/device/backend_options.hpp"
#include "daemon/device/device.hpp"
#include "daemon/device/misc_probe.hpp"

#include <memory>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// Node paths in the order of trial: the secure one first, but the plain one first for an unsigned PD, which needs no
/// more than that (KERNEL 1.9).
std::vector<std::string> misc_nodes(Domain domain, PdKind kind);

/// Opens the first node that lets us in, asks what it can, and opens it again for use. Goes on to the next one on
/// ENOENT, EACCES and EPERM, never on EBUSY: the nodes share the slots. ErrorKind::busy when all slots are taken;
/// ErrorKind::offline when no node is there (ENOENT) or lets us in (EACCES), with the error of each; unsupported for an
/// audio PD on a kernel without static ones; system else.
Result<std::unique_ptr<Device>> open_misc(Domain domain, PdKind kind, const BackendOptions& options = {});

/// A Device on an open misc node. Its destructor closes the node, which may take 10 s (KERNEL 1.15). `refusals`: the
/// nodes that did not let us in before it, with the error of each, for advice().
std::unique_ptr<Device> make_misc(Kernel& kernel, UniqueFd fd, std::string node, const MiscProfile& profile,
                                  const std::array<std::uint32_t, capability_count>& capabilities,
                                  std::string refusals = {});

} // namespace fastrpc::daemon
