// The DSP half of the virtual SoC: one object is one DSP, which reads the wire as firmware would and runs PDs.
//
// It plays the DSP's guest OS in the server process (process group service on handle 1, capabilities on handle 2) and
// starts one process per PD, because the modules are native code of an untrusted client. It is written from the
// specification alone and shares nothing with the daemon: what the daemon gets wrong, it refuses with a DSP code.
#pragma once

#include "base/result.hpp"
#include "ipc/domain.hpp"
#include "vdsp/channel.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

struct sd_event;

namespace fastrpc::vdsp {

struct DspConfig {
    Domain domain = Domain::cdsp;
    /// Capability id 1..255 -> value (KERNEL 1.5). Empty: the DSP does not know the query, 0x80000414.
    std::map<std::uint32_t, std::uint32_t> attributes = {};
    std::uint32_t latency_us = 0;   ///< DSP time added to each module call
    std::string pd_program = {};    ///< path of fastrpc-vdsp-pd
    std::string pd_user = "nobody"; ///< whom user PDs run as when the server is root
    bool old_firmware = false;      ///< no handles 7, 8, 9: they answer 0x80000600 or 0x80000401
    std::string faults = {};        ///< JSON of the faults to commit, as the command "faults" takes it; empty: none
    /// Scripts that static PDs run for each host that registers (docs/virtual-soc.md); without one: a file and some
    /// heap.
    std::map<PdKind, std::string> firmware = {};
};

/// Gets the outcome of a script, a JSON text, or why there is none. Called once, from any thread.
using ScriptDone = std::function<void(Result<std::string>)>;

class DspHalf : public Dsp {
public:
    /// DSP time added to each module call from now on, in every PD.
    virtual void set_latency(std::uint32_t us) = 0;
    /// Carries out one command of people or tests that concerns this DSP alone: {"command": name, "domain": ours, ...}.
    /// Answers JSON; fails with ErrorKind::invalid when it does not know the command or its arguments.
    ///   {"command": "faults", "rules": [...]}  sets the faults to commit (faults.hpp); answers them
    ///   {"command": "crash", "pd": P}          a PD dies; P is "root", "user" (the oldest), "sensors", "audio" or the
    ///   {"command": "exit", "pd": P}           number of a client that has a user PD. Or it leaves in order. Answers
    ///                                          {"pid": the process}
    virtual Result<std::string> command(std::string_view json) = 0;
    /// {"command": "run", "domain": ours, "pd": P, "script": [steps], "limit_ms": N}: runs the script in a PD that
    /// runs, P as above, for at most N ms (60,000 if absent). The outcome is {"state": "done" or "failed", "step",
    /// "text", "outcomes": [one per step]}. Comes back at once.
    virtual void run_script(std::string_view json, ScriptDone done) {
        (void)json;
        done(fail(ErrorKind::unsupported, "this DSP runs no scripts"));
    }
    /// {"domain","pds":[{"client","kind","name","pid","state","shell_sha256","calls","reverse_calls","modules":[{"uri",
    /// "file","size","sha256","reads"}],"firmware":{"state","step","text"} or null}],"crashes","calls","faults":[the
    /// rules, each with "seen" and "hits"]}; the figures of a PD are at most one call old.
    virtual std::string status_json() = 0;
};

/// Starts the DSP with its root PD, on a thread of its own; `event` is not used. `machine` must outlive it. Throws
/// std::system_error when the root PD cannot be started, std::invalid_argument when config.faults is malformed.
std::unique_ptr<DspHalf> make_dsp(DspConfig config, Machine& machine, sd_event* event);

} // namespace fastrpc::vdsp
