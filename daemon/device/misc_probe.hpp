// What a misc node tells of its kernel and its DSP before anything is started on it (KERNEL 1.5, 1.13, 1.16).
//
// Asked on an open file of its own, which is closed before the real one is opened: kernels of the 6.1 time move the
// file's PD number when asked for a capability, and kernels before 6.14 know a client by its process, so that the
// RELEASE of a second file would end the PD of the first.
#pragma once

#include "daemon/device/backend_options.hpp"
#include "daemon/device/device.hpp"

#include <string>

namespace fastrpc::daemon {

struct MiscProfile {
    bool has_static = true;     ///< INIT_CREATE_STATIC and the remote heap: 6.2 and later
    bool has_poll_mode = false; ///< SET_OPTION
    bool is_shim = false;       ///< the QDA shim module behind the old node names, with its stricter rules (KERNEL 2.6)
    ClientIds client_ids = ClientIds::slot;
    std::string release; ///< of the kernel

    /// "misc driver of 6.2 or later, clients known by process (kernel 6.12.3)", for people.
    [[nodiscard]] std::string text() const;
};

/// `fd` is a fresh open file of the node; nothing else is done with it afterwards.
MiscProfile probe_misc(int fd, const BackendOptions& options);
/// All capabilities, each 0xFFFFFFFF when it got no answer. One that the DSP does not answer at all ends the asking,
/// because each such question costs the DSP a context.
std::array<std::uint32_t, capability_count> ask_misc_capabilities(Kernel& kernel, int fd, Domain domain);

} // namespace fastrpc::daemon
