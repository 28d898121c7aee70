// What a host needs from outside: the machine it runs on, as seams that tests fill with their own.
#pragma once

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/device/heap.hpp"
#include "discovery/system_files.hpp"
#include "discovery/watcher.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fastrpc::daemon {

struct HostEnvironment {
    /// `trusted`: of the grant; static PDs have no client.
    std::function<Result<std::unique_ptr<Device>>(Domain, PdKind, bool trusted)> open_device;
    std::function<Result<std::unique_ptr<Heap>>()> open_heap;
    /// Before the first thread: keeps what the PD's one init may need, and tells whether there is such a thing.
    std::function<Result<bool>()> keep_init_privilege;
    /// Right after the init, on every thread that has had the privilege; before anything else where none is needed.
    std::function<Status()> drop_privileges;
    /// News of nodes, from the moment of the call. Asked for before a PD's init, where somebody needs them.
    std::function<Result<std::unique_ptr<discovery::Watcher>>()> watch_nodes;
    /// After the PD is up. `may_open`: a static host opens its node again after a DSP restart. `requests`: the ioctls
    /// that it still makes.
    std::function<Status(bool may_open, const std::vector<unsigned long>& requests)> enter_sandbox;
    std::string program_version; ///< for people
    std::string control_path = "/run/fastrpcd/control.sock";
    /// Of the DSP's vendor files; those that do not exist are left out. A static PD's own definition names them where
    /// this is empty.
    std::vector<std::string> dsp_directories;
    std::vector<std::string> definition_directories; ///< of static PDs, in rising priority
    std::string state_directory;                     ///< where a static PD keeps what it writes
    discovery::Roots roots;                          ///< of the machine's files
    /// How long calls may take to come back at the end of a session. Dying inside a call costs the DSP a context id
    /// for ever (KERNEL 1.14).
    std::chrono::milliseconds end_limit{5000};
    /// The same after SIGTERM, which must end the process within a second.
    std::chrono::milliseconds signal_limit{800};
    /// Between two pushes of counters.
    std::chrono::milliseconds news_pause{1000};
};

} // namespace fastrpc::daemon
