// The reverse calls of a script: one step becomes one call, and what came back becomes its outcome.
//
// Unlike the other services of the PD it says everything that the host answered, and it says to the host whatever the
// script wants.
#pragma once

#include "vdsp/dsp/pd/host_calls.hpp"
#include "vdsp/dsp/pd/script_methods.hpp"

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace fastrpc::vdsp {

/// What a step did.
struct ScriptOutcome {
    std::int32_t code = 0;
    std::optional<ScriptValue> value = std::nullopt; ///< what "as" saves
    nlohmann::json record = nlohmann::json::object();
};

/// Thread-safe. Its members throw ScriptError for a step with a mistake.
class ScriptCaller {
public:
    /// `patient` as in Listener::call.
    ScriptCaller(Listener& listener, bool patient) : listener_(listener), patient_(patient) {}
    /// Closes the interfaces that it opened.
    ~ScriptCaller();
    ScriptCaller(const ScriptCaller&) = delete;
    ScriptCaller& operator=(const ScriptCaller&) = delete;

    /// A step that names a method. Adds the keys that it looked at.
    ScriptOutcome call(const ScriptMethod& method, const nlohmann::json& step, const ScriptValues& values,
                       std::set<std::string>& keys);
    /// {"do":"raw", "handle": n | "interface": name, "sc": word | "method": n, "in": [data], "out": [capacity]} with
    /// "blob": bytes in place of in and out, "cut": bytes to leave of the blob, "patch": [[offset, u32], ...] in it,
    /// and "show": bytes of each output to record.
    ScriptOutcome raw(const nlohmann::json& step, const ScriptValues& values, std::set<std::string>& keys);
    /// {"do":"push", "lines": [{"level", "line", "thread", "text", "file"}]}: adspmsgd_apps log (USERSPACE 7.2).
    ScriptOutcome push(const nlohmann::json& step, const ScriptValues& values, std::set<std::string>& keys);

private:
    std::uint32_t handle_of(const std::string& interface, std::int32_t& refusal);
    ScriptOutcome send(std::uint32_t handle, Scalars scalars, std::span<const std::byte> blob,
                       std::span<const std::uint32_t> capacities, std::size_t show, ReverseAnswer& answer);

    Listener& listener_;
    bool patient_;
    std::mutex mutex_; ///< guards interfaces_
    std::map<std::string, HostCalls> interfaces_;
};

} // namespace fastrpc::vdsp
