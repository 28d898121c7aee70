// All that serves one PD's reverse calls, as one object: files, interfaces, listener.
//
// One thread runs it; there is no lock and no allocation of its own on the path of a read.
#pragma once

#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_files.hpp"
#include "daemon/reverse/adspmsgd.hpp"
#include "daemon/reverse/apps_mem.hpp"
#include "daemon/reverse/apps_std.hpp"
#include "daemon/reverse/dispatcher.hpp"
#include "daemon/reverse/listener.hpp"
#include "daemon/reverse/reverse_stats.hpp"

#include <functional>
#include <optional>

namespace fastrpc::daemon {

class ReverseServer {
public:
    /// `device`, `stats` and what `memory` points to must outlive the server. `environment` is what getenv answers the
    /// DSP with. Without a `memory.budget` the DSP is told that there is no apps_mem; without a `log`, which must
    /// outlive the server, that there is no adspmsgd_apps. `more` are the client's interfaces, and outlives it too.
    ReverseServer(Device& device, FileTree tree, ReverseStats& stats, Environment environment = {},
                  PdMemory memory = {}, DspLog* log = nullptr, std::size_t open_files = OpenFiles::default_cap,
                  InterfaceSource* more = nullptr);

    /// Serves until the PD or the device ends; all signals blocked (see Listener::run). `on_up` is called on this
    /// thread when init2 succeeded: from then on modules can be opened from other threads.
    ListenerEnd run(const std::function<void()>& on_up = {});

    /// Known from `on_up` on, from any thread.
    [[nodiscard]] Generation generation() const noexcept { return listener_.generation(); }

    [[nodiscard]] const AppsMem& memory() const noexcept { return apps_mem_; }

private:
    FileTree tree_;
    OpenFiles files_;
    AppsMem apps_mem_;
    AppsStd apps_std_;
    std::optional<Adspmsgd> adspmsgd_;
    Dispatcher dispatcher_;
    Listener listener_;
};

} // namespace fastrpc::daemon
