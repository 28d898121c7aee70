// list, status, show, dump: what there is, in four forms.
#include "ctl/files.hpp"
#include "ctl/names.hpp"
#include "ctl/pd.hpp"
#include "ctl/queries.hpp"
#include "ctl/show.hpp"
#include "ctl/text.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <memory>

namespace fastrpc::ctl {
namespace {

struct Asked {
    std::vector<std::string> object;
    std::vector<std::string> keys;
    bool bare = false;
};

int status_of_daemon(const Tool& tool) {
    auto client = tool.connect();
    const Result<json> answer = client ? query_status(*client) : Result<json>(std::unexpected(client.error()));
    if (answer) {
        tool.print(*answer, status_text);
        return done;
    }
    if (tool.as_json() && answer.error().kind == ErrorKind::offline)
        tool.print({{"running", false}, {"error", answer.error().text}}, status_text);
    return tool.complain(answer.error());
}

int status(const Tool& tool, const Asked& asked) {
    if (asked.object.empty()) return status_of_daemon(tool);
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const auto object = find_object(*client, asked.object);
    if (!object) return tool.complain(object.error());
    const std::string name = names::last_part(object->path);
    Result<json> answer = json();
    Text text = status_text;
    switch (object->kind) {
    case ObjectKind::daemon:
        answer = query_status(*client);
        break;
    case ObjectKind::domain:
        answer = query_domain(*client, name), text = domain_text;
        break;
    case ObjectKind::pd:
        answer = query_pd(*client, names::domain_of_pd(object->path), name), text = pd_text;
        break;
    case ObjectKind::session:
        answer = query_session(*client, name), text = session_text;
        break;
    }
    if (!answer) return tool.complain(answer.error());
    tool.print(*answer, text);
    return done;
}

int show(const Tool& tool, const Asked& asked) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const auto object = find_object(*client, asked.object);
    if (!object) return tool.complain(object.error());
    auto properties = show_object(*client, *object);
    if (!properties) return tool.complain(properties.error());
    if (tool.as_json() && !asked.keys.empty()) {
        json chosen = json::object();
        for (const std::string& key : asked.keys)
            if (properties->contains(key)) chosen[key] = (*properties)[key];
        *properties = std::move(chosen);
    }
    tool.print(*properties, [&](const json& all, const Style&) { return show_text(all, asked.keys, asked.bare); });
    return done;
}

// For bug reports: what fails is told in the place of its answer, and the rest is there all the same.
int dump(Tool& tool) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const auto part = [](const Result<json>& answer) {
        return answer ? *answer : json{{"error", answer.error().text}};
    };
    const auto status = query_status(*client);
    if (!status) return tool.complain(status.error());
    json all{{"fastrpcctl-version", FASTRPCD_VERSION}, {"status", *status}, {"list", part(query_list(*client))}};
    all["domains"] = json::array();
    for (const json& domain : (*status)["domains"])
        all["domains"].push_back(part(query_domain(*client, domain["name"].get<std::string>())));
    for (const bool missing : {false, true})
        all[missing ? "files-missing" : "files"] = part(FileReader(missing, "").read(*client));
    if (tool.json_form.empty()) tool.json_form = "pretty";
    tool.print(all, nullptr);
    return done;
}

} // namespace

void add_daemon_verbs(Tool& tool, CLI::App& app) {
    const auto asked = std::make_shared<Asked>();
    add(tool, app, "list", "domains, PDs, sessions and their counters",
        [&tool] { return tool.query(query_list, list_text); });
    auto* of_one = add(tool, app, "status", "whether fastrpcd runs, and how it is; or all about one object",
                       [&tool, asked] { return status(tool, *asked); });
    auto* shown = add(tool, app, "show", "all about one object as KEY=VALUE lines, for scripts",
                      [&tool, asked] { return show(tool, *asked); });
    for (CLI::App* command : {of_one, shown})
        command->add_option("OBJECT", asked->object, "cdsp, adsp/audio, a session's id; none: fastrpcd itself")
            ->expected(0, 2);
    shown->add_option("-p,--property", asked->keys, "only this key; again for more")
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all()
        ->delimiter(',');
    shown->add_flag("--value", asked->bare, "values without their keys");
    add(tool, app, "dump", "everything that the caller may see as JSON, for bug reports",
        [&tool] { return dump(tool); });
}

} // namespace fastrpc::ctl
