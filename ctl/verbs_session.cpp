// session: who uses a DSP, and the end of it.
#include "ctl/queries.hpp"
#include "ctl/text.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <memory>

namespace fastrpc::ctl {
namespace {

using Ids = std::vector<std::string>;

int status(const Tool& tool, const Ids& ids) {
    for (const std::string& id : ids)
        if (const int code = tool.query([&](BusClient& client) { return query_session(client, id); }, session_text);
            code != done)
            return code;
    return done;
}

int terminate(const Tool& tool, const Ids& ids) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    int worst = done;
    for (const std::string& id : ids)
        if (const Status ended = terminate_session(*client, id); !ended)
            worst = std::max(worst, tool.complain_of_denial(ended.error()));
    return worst;
}

} // namespace

void add_session_verbs(Tool& tool, CLI::App& app) {
    auto* group = add_group(app, "session", "the sessions of clients: one's own, or all of them for root");
    add(tool, *group, "list", "one line for each",
        [&tool] { return tool.query([](BusClient& client) { return query_sessions(client, false); }, sessions_text); });
    const auto ids = std::make_shared<Ids>();
    auto* one = add(tool, *group, "status", "all about one, with its limits and counters",
                    [&tool, ids] { return status(tool, *ids); });
    auto* ended = add(tool, *group, "terminate", "ends one; its client is told who did it",
                      [&tool, ids] { return terminate(tool, *ids); });
    for (CLI::App* command : {one, ended})
        command->add_option("SESSION", *ids, "as session list shows it; again for more")->required();
}

} // namespace fastrpc::ctl
