// Scripts: what the firmware of a PD says to its host, as a JSON list of steps (docs/virtual-soc.md).
//
// A step is an object: "do" names what it does, the other keys are its arguments. "as" saves its value, or forgets the
// saved one when the step brings none; "expect" is the
// code, or a list of codes, that it must bring, and "when" and "unless" name a saved value without or with which it is
// skipped. A step that fails, without "expect", is no end of the script: real firmware goes on, too.
#pragma once

#include "vdsp/dsp/pd/listener.hpp"
#include "vdsp/dsp/pd/messages.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace fastrpc::vdsp {

struct ScriptSetting {
    Listener& listener;
    Messages& messages;
    bool patient = false; ///< waits as long as it takes for a host that listens
    std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt;
    std::function<void(std::size_t)> at = [](std::size_t) {}; ///< the step at this index of the list begins
};

struct ScriptEnd {
    bool failed = false;
    std::size_t step = 0; ///< index in the list where it failed; else the number of steps
    std::string text;     ///< why it failed
    /// One object per step that ran, in their order; "cut" in the last one says that there was no room for more.
    nlohmann::json outcomes = nlohmann::json::array();
    [[nodiscard]] std::string json() const;
};

/// Runs `steps` on the calling thread.
ScriptEnd run_script(const nlohmann::json& steps, const ScriptSetting& setting);

} // namespace fastrpc::vdsp
