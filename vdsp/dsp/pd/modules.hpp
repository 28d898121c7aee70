// remotectl: opens and closes modules of one client, and finds them by handle (USERSPACE 8.1).
#pragma once

#include "vdsp/dsp/pd/library.hpp"
#include "vdsp/dsp/pd/listener.hpp"
#include "vdsp/dsp/pd/module_uri.hpp"
#include "vdsp/skel.h"

#include "ipc/domain.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace fastrpc::vdsp {

/// Smallest module handle; smaller ones are fixed services (USERSPACE 4.1).
inline constexpr std::uint32_t first_module_handle = 16;

/// What was loaded, for status.
struct LoadReport {
    std::string uri, file, sha256;
    std::uint64_t size = 0;
    std::uint32_t reads = 0;
};

/// A module that is open under one handle.
struct OpenModule {
    std::string name;                 ///< built-in modules; else empty
    std::shared_ptr<Library> library; ///< of loaded modules
    fastrpc_skel_invoke entry = nullptr;
    std::uint64_t handle = 0; ///< that the entry gave at its open
};

class Modules {
public:
    using Reporter = std::function<void(const LoadReport&)>;
    /// A user PD loads files through `listener`, a static one has modules built in. `report` is called at each load.
    Modules(Listener& listener, Domain domain, bool is_user, Reporter report) :
        listener_(listener), domain_(domain), is_user_(is_user), report_(std::move(report)) {}

    /// The new handle.
    LoadResult<std::uint32_t> open(const std::string& uri);
    LoadResult<void> close(std::uint32_t handle);
    /// Null when it is not open. The module stays loaded while the caller holds it.
    std::shared_ptr<OpenModule> find(std::uint32_t handle);

private:
    static LoadResult<std::shared_ptr<OpenModule>> built_in(const ModuleUri& uri);
    LoadResult<std::shared_ptr<OpenModule>> load(const ModuleUri& uri, const std::string& text);
    LoadResult<std::shared_ptr<Library>> library(const ModuleUri& uri, const std::string& text);

    Listener& listener_;
    Domain domain_;
    bool is_user_;
    Reporter report_;
    HostFiles files_{listener_};
    bool probed_ = false;
    std::mutex loading_; ///< one load at a time, as the DSP's loader does; guards files_, probed_ and libraries_
    std::map<std::string, std::weak_ptr<Library>, std::less<>> libraries_; ///< by file name
    std::mutex mutex_;                                                     ///< guards open_ and next_
    std::map<std::uint32_t, std::shared_ptr<OpenModule>> open_;
    std::uint32_t next_ = first_module_handle;
};

} // namespace fastrpc::vdsp
