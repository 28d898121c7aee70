// Plays the DSPs of the guest to its real FastRPC driver: one RpmsgMachine per domain, on one event loop.
//
// Whose DSPs is the caller's choice: vdsp's DSP half for the product, another Dsp for tests that look at the wire.
#pragma once

#include "base/result.hpp"
#include "vdsp/dsp/dsp.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fastrpc::vm {

struct BridgeOptions {
    std::vector<Domain> domains;     ///< at least one
    vdsp::DspConfig config = {};     ///< of every DSP, but for its domain
    std::string directory = "/dev";  ///< of the module's files
    std::string control_socket = {}; ///< empty: none
};

/// Makes the DSP of `config.domain`, at start and after each crash. May throw std::system_error.
using DspFactory =
    std::function<std::unique_ptr<vdsp::Dsp>(vdsp::DspConfig config, vdsp::Machine& machine, sd_event* event)>;

/// Serves until SIGTERM or SIGINT, which the caller has blocked in all threads, as SIGCHLD. The control socket is there
/// once all DSPs run.
Status run_bridge(const BridgeOptions& options, const DspFactory& make);

} // namespace fastrpc::vm
