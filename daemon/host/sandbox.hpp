// What a host may still do once its PD is up: serve. Not start programs, not open devices, not trace, not gain rights.
#pragma once

#include "base/result.hpp"

#include <vector>

namespace fastrpc::daemon {

/// Drops all capabilities but CAP_SYS_ADMIN, which newer kernels want for the init of static and signed PDs (KERNEL
/// 2.6); true when the process has it. For the calling thread and those that it starts later, like drop_privileges(),
/// which must follow right after the init.
Result<bool> keep_init_privilege();

/// Drops all capabilities for good and forbids new privileges and core dumps, which would hold clients' data. For the
/// calling thread and those that it starts later: every thread that was started before calls it too. After the PD's one
/// init, or before it where that needs no privilege.
Status drop_privileges();

/// Puts every thread, present and future, under a system call allowlist; what is not on it fails with EPERM. `may_open`
/// leaves open() allowed, for a static host that must open its node again after a DSP restart. Of ioctl() only
/// `requests` are left, whatever the fd. Needs drop_privileges(). Irreversible.
Status enter_sandbox(bool may_open, const std::vector<unsigned long>& requests);

} // namespace fastrpc::daemon
