// The upstream misc driver, /dev/fastrpc-<domain>[-secure]: finding and opening the node (USERSPACE 1.2, KERNEL 1.1).
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/device/device.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// Node paths in the order of trial: the secure one first, but the plain one first for an unsigned PD, which needs no
/// more than that (KERNEL 1.9).
std::vector<std::string> misc_nodes(Domain domain, PdKind kind);

/// Opens `path` read-write and close-on-exec; gives the fd, or -errno. Tests bring their own.
using NodeOpener = std::function<int(const std::string& path)>;
int open_node(const std::string& path);

/// Opens the first node that lets us in. Goes on to the next one on ENOENT, EACCES and EPERM, never on EBUSY: the nodes
/// share the slots. ErrorKind::busy when all slots are taken; ErrorKind::offline when no node is there or lets us in,
/// with the error of each; ErrorKind::system else.
Result<std::unique_ptr<Device>> open_misc(Domain domain, PdKind kind, const NodeOpener& opener = open_node);

/// A Device on an open misc node. Its destructor closes the node, which may take 10 s (KERNEL 1.15).
std::unique_ptr<Device> make_misc(UniqueFd fd, std::string node);

} // namespace fastrpc::daemon
