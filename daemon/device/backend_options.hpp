// What decides how nodes are opened, besides what the machine shows.
#pragma once

#include "daemon/device/kernel.hpp"

#include <optional>

namespace fastrpc::daemon {

/// By what the DSP knows a client of the misc driver (KERNEL 1.6).
enum class ClientIds { process, slot };

struct BackendOptions {
    Kernel* kernel = &Kernel::real();
    /// Overrides what the kernel's release tells, for kernels with backports.
    std::optional<ClientIds> client_ids;
    /// Serve client sessions even on the RFC generation of QDA, whose driver lets whoever has taken over a host read
    /// and write kernel memory (KERNEL 2.5 #3). For machines whose clients are all trusted.
    bool sessions_on_accel_rfc = false;
};

} // namespace fastrpc::daemon
