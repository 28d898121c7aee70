// Where the time of an open goes: the trace of client, fastrpcd and host, cut into steps that follow each other.
//
// Each step ends where the next begins, so that their sum is the whole; `dsp` is what of it was spent in calls to the
// DSP (creating the PD, loading the module, the first call), less what the host's listener did meanwhile to serve the
// DSP's reverse calls.
#pragma once

#include "tests/bench/trace.hpp"

#include <array>
#include <cstddef>

namespace fastrpc::bench {

struct OpenStep {
    const char* key;   ///< of its figure, which is open_KEY_ms
    const char* about; ///< for people
};
inline constexpr std::array open_steps{
    OpenStep{"connect", "the client connects to the bus"},
    OpenStep{"bus", "the bus brings the call to fastrpcd"},
    OpenStep{"policy", "fastrpcd asks the bus who it is, decides, takes the charges"},
    OpenStep{"host_start", "socket activation starts a host, up to its first constructor"},
    OpenStep{"host_load", "the host is linked and initialised, and reads its grant"},
    OpenStep{"node_open", "the host opens and probes the node, reads the shell"},
    OpenStep{"create", "the kernel creates the PD"},
    OpenStep{"listener", "the host starts the listener, enters its sandbox"},
    OpenStep{"answer", "the host's word reaches the client by fastrpcd and the bus"},
    OpenStep{"lane", "the client opens its lane"},
    OpenStep{"module", "the DSP loads the module"},
    OpenStep{"first_call", "the first call"},
};

struct OpenTimes {
    std::array<double, open_steps.size()> steps{}; ///< us
    double total = 0, dsp = 0;                     ///< us
};

/// Of one open in `events`, by processes `client` and `fastrpcd`. A host that was ready has no time to start and load:
/// its grant reaches it within "policy". ErrorKind::not_found names the event that is missing.
Result<OpenTimes> open_times(const std::vector<TraceEvent>& events, pid_t client, pid_t fastrpcd);

} // namespace fastrpc::bench
