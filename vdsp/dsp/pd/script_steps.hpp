// The steps of a script that have no steps within: calls, what is made of several calls, and values.
#pragma once

#include "vdsp/dsp/pd/script.hpp"
#include "vdsp/dsp/pd/script_caller.hpp"

#include <optional>
#include <set>
#include <string>

namespace fastrpc::vdsp {

/// Thread-safe. Throws ScriptError, or what nlohmann::json throws for a value of the wrong type.
class ScriptSteps {
public:
    /// `setting` must outlive it.
    explicit ScriptSteps(const ScriptSetting& setting) :
        setting_(setting), caller_(setting.listener, setting.patient) {}

    /// Nothing when there is no such step. Adds the keys that the step may have.
    std::optional<ScriptOutcome> carry_out(const std::string& name, const nlohmann::json& step,
                                           const ScriptValues& values, std::set<std::string>& keys);

private:
    using Json = nlohmann::json;
    ScriptOutcome typed(const char* method, const Json& step, const ScriptValues& values);
    ScriptOutcome read(const Json& step, const ScriptValues& values);
    ScriptOutcome list(const Json& step, const ScriptValues& values);
    ScriptOutcome ring(const Json& step, const ScriptValues& values);
    ScriptOutcome ring_poke(const Json& step, const ScriptValues& values);
    ScriptOutcome sleep(const Json& step, const ScriptValues& values);
    static ScriptOutcome set(const Json& step, const ScriptValues& values);
    static ScriptOutcome take(const Json& step, const ScriptValues& values);
    static ScriptOutcome check(const Json& step, const ScriptValues& values);

    const ScriptSetting& setting_;
    ScriptCaller caller_;
};

} // namespace fastrpc::vdsp
