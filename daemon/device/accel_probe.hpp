// Which DSP an accel node leads to, and which generation of QDA drives it (KERNEL 2.1, 2.3).
//
// The generations gave GEM_CREATE and GEM_MMAP_OFFSET another order of fields under the same codes, so a wrong guess
// silently does something else. The probe asks only what both answer without harm, and closes what it made.
#pragma once

#include "base/result.hpp"
#include "daemon/device/kernel.hpp"

#include <string>

namespace fastrpc::daemon {

enum class AccelGeneration { rfc, v1 };

/// "cdsp"; empty when the node is no QDA device.
std::string query_accel(Kernel& kernel, int fd);

/// ErrorKind::unsupported for a generation that this dialect does not know; busy when no context bank is left.
Result<AccelGeneration> probe_accel(Kernel& kernel, int fd);

void close_gem(Kernel& kernel, int fd, std::uint32_t handle) noexcept;

} // namespace fastrpc::daemon
