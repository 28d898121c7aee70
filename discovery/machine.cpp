#include "discovery/machine.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <map>

namespace fastrpc::discovery {
namespace {

std::string note_on(const std::string& name) {
    if (name.starts_with("accel/"))
        return fmt::format("/dev/{} is not used: sysfs names no DSP for it", printable(name));
    return fmt::format("/dev/{} is not used: there is no DSP of that name", printable(name));
}

} // namespace

std::string read_model(const Roots& roots) {
    std::string model = read_text(roots.path("/sys/firmware/devicetree/base/model"));
    return model.empty() ? read_text(roots.path("/proc/device-tree/model")) : model;
}

const FoundDomain* Machine::find(Domain domain) const noexcept {
    const auto found = std::ranges::find(domains, domain, &FoundDomain::domain);
    return found == domains.end() ? nullptr : &*found;
}

Machine discover(const Roots& roots) {
    Machine machine{.model = read_model(roots)};
    std::map<Domain, FoundDomain> found;
    for (const std::string& name : node_names(roots)) {
        if (auto node = identify(roots, name))
            found[node->domain].nodes.push_back(std::move(*node));
        else
            machine.notes.push_back(note_on(name));
    }
    for (const std::string& name : list_names(roots.dev(), "adsprpc-smd"))
        machine.notes.push_back(
            fmt::format("/dev/{} belongs to the downstream driver, which is not supported", printable(name)));
    for (const Remoteproc& remoteproc : read_remoteprocs(roots)) {
        if (!remoteproc.domain) continue;
        FoundDomain& domain = found[*remoteproc.domain];
        domain.remoteproc = remoteproc.name.empty() ? "unnamed" : remoteproc.name;
        domain.remoteproc_state = remoteproc.state;
        if (std::string problem = problem_of(roots, remoteproc); !problem.empty())
            domain.problems.push_back(std::move(problem));
        else if (domain.nodes.empty())
            domain.problems.emplace_back("the DSP runs but has no node: is the kernel's fastrpc driver loaded?");
    }
    for (auto& [domain, entry] : found) {
        entry.domain = domain;
        std::ranges::sort(entry.nodes, tried_before);
        machine.domains.push_back(std::move(entry));
    }
    return machine;
}

} // namespace fastrpc::discovery
