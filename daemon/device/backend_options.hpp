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
    /// The session's client may be served where it could attack the kernel itself: on the RFC generation of QDA (KERNEL
    /// 2.5 #3). Its grant says so.
    bool trusted = false;
};

} // namespace fastrpc::daemon
