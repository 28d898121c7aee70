// The SoC's controls without a program in between, so that what happens next is not late by its start.
#pragma once

#include "tests/integration/system.hpp"
#include "vdsp/driver/control.hpp"

namespace fastrpc::test {

/// One command (vdsp/driver/commands.hpp); the test fails when the SoC refuses it.
inline json command(const stack::Stack& system, const json& what) {
    const auto answer = vdsp::command(system.vdsp_socket(), what.dump());
    if (answer) return json::parse(*answer, nullptr, false);
    ADD_FAILURE() << what << ": " << answer.error().text;
    return json::object();
}

/// What the SoC's status says of a domain.
inline json status(const stack::Stack& system, std::string_view domain = "cdsp") {
    for (const json& entry : command(system, {{"command", "status"}}).value("domains", json::array()))
        if (entry.value("name", "") == domain) return entry;
    return json::object();
}

/// What the SoC's status says of a domain's PDs; nothing while the DSP is away.
inline json status_of_pds(const stack::Stack& system, std::string_view domain) {
    const json all = status(system, domain);
    const auto dsp = all.find("dsp");
    return dsp != all.end() && dsp->is_object() ? dsp->value("pds", json::array()) : json::array();
}

} // namespace fastrpc::test
