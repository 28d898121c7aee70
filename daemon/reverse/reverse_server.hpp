// All that serves one PD's reverse calls, as one object: files, interfaces, listener.
//
// One thread runs it; there is no lock and no allocation of its own on the path of a read.
#pragma once

#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_files.hpp"
#include "daemon/reverse/apps_mem.hpp"
#include "daemon/reverse/apps_std.hpp"
#include "daemon/reverse/dispatcher.hpp"
#include "daemon/reverse/listener.hpp"
#include "daemon/reverse/reverse_stats.hpp"

#include <functional>

namespace fastrpc::daemon {

class ReverseServer {
public:
    /// `device` and `stats` must outlive the server. `environment` is what getenv answers the DSP with.
    /// `heap_cap`: bytes of heap that the PD may ask for; 0, for PDs whose memory a grant limits: it is told that there
    /// is no apps_mem.
    ReverseServer(Device& device, FileTree tree, ReverseStats& stats, Environment environment = {},
                  std::uint64_t heap_cap = 0, std::size_t open_files = OpenFiles::default_cap);

    /// Serves until the PD or the device ends; all signals blocked (see Listener::run). `on_up` is called on this
    /// thread when init2 succeeded: from then on modules can be opened from other threads.
    ListenerEnd run(const std::function<void()>& on_up = {});

    /// Known from `on_up` on, from any thread.
    [[nodiscard]] Generation generation() const noexcept { return listener_.generation(); }

private:
    FileTree tree_;
    OpenFiles files_;
    AppsStd apps_std_;
    AppsMem apps_mem_;
    Dispatcher dispatcher_;
    Listener listener_;
};

} // namespace fastrpc::daemon
