// domain: the DSPs of the machine.
#include "ctl/queries.hpp"
#include "ctl/text.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <memory>

namespace fastrpc::ctl {

void add_domain_verbs(Tool& tool, CLI::App& app) {
    auto* group = add_group(app, "domain", "the DSPs of this machine");
    auto* list =
        add(tool, *group, "list", "one line for each DSP", [&tool] { return tool.query(query_domains, domains_text); });
    list->footer("SESSIONS are those of clients, of the most that the hardware has. CONTEXTS are calls that may be "
                 "inside the\nDSP at once: granted to sessions or lost, of those that sessions may have.");
    const auto name = std::make_shared<std::string>();
    auto* status = add(tool, *group, "status", "all about one DSP, and hints", [&tool, name] {
        return tool.query([&](BusClient& client) { return query_domain(client, *name); }, domain_text);
    });
    status->add_option("DOMAIN", *name, "adsp, cdsp, ...")->required();
    status->footer("States: absent (no node, no remoteproc), offline (no node), starting, online, recovering, failed.\n"
                   "A generation is one life of the DSP, counted since fastrpcd started.");
}

} // namespace fastrpc::ctl
