// The two kinds of host: of a client's session, and of a static PD (design 8).
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/host/environment.hpp"
#include "ipc/domain.hpp"

namespace fastrpc::daemon {

/// Exit codes of fastrpc-pd.
enum class HostExit {
    ended = 0,         ///< served and ended, or said why not over the control connection
    protocol = 3,      ///< fastrpcd was not there or did not speak the protocol; one log line says what
    not_wanted = 4,    ///< this machine does not host this PD; starting again changes nothing
    misconfigured = 5, ///< a definition that is broken; one log line says where
};

/// Hosts one session: takes the start message from `control`, creates the PD, serves until an end. SIGTERM is blocked
/// in every thread. When calls do not come back from the DSP, their memory is left to the end of the process, so the
/// caller ends it with _exit.
HostExit run_session(UniqueFd control, const HostEnvironment& environment);

/// Hosts a static PD and starts it anew after each end, until SIGTERM or fastrpcd says stop. Otherwise as run_session.
HostExit run_static(Domain domain, PdKind kind, const HostEnvironment& environment);

} // namespace fastrpc::daemon
