// `doctor`: why a DSP does not work, and what to do.
//
// Each check looks at one thing and makes one finding or more. What concerns the machine is read from its files, so it
// is told when fastrpcd does not run, too; what only fastrpcd knows is asked over the bus.
//
// {"findings": [{"check", "subject", "verdict": "ok"|"warning"|"failed", "text", "fix"}], "ok", "warnings", "failed"}
// "subject" is a DSP, a file, a service or a user, or empty; "fix" is empty when all is well. The names of checks are
// stable: driver, node, rights, remoteproc, firmware, shell, build, modules, heap, conflict, fastrpcd, policy, pd,
// domain, slots, contexts, files.
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"
#include "discovery/machine.hpp"

namespace fastrpc::ctl {

enum class Verdict { ok, warning, failed };
std::string_view to_string(Verdict verdict) noexcept;

struct Finding {
    std::string check;
    std::string subject;
    Verdict verdict = Verdict::ok;
    std::string text;
    std::string fix = {};
};
using Findings = std::vector<Finding>;

/// driver, node, rights, heap: what Linux has. `host_user` is who hosts run as.
void check_devices(const discovery::Roots& roots, const discovery::Machine& machine, const std::string& host_user,
                   Findings& findings);
/// remoteproc, firmware, shell, build, modules: what each DSP needs.
void check_firmware(const discovery::Roots& roots, const discovery::Machine& machine, Findings& findings);
/// conflict: other programs that serve DSPs, running or enabled.
void check_conflicts(const discovery::Roots& roots, Findings& findings);
/// fastrpcd, policy, pd, domain, slots, contexts, files: what fastrpcd says. Asks in the name of the caller.
void check_fastrpcd(Findings& findings);

json doctor_report(const Findings& findings);
std::string doctor_text(const json& report, const Style& style);

} // namespace fastrpc::ctl
