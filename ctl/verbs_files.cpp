// files and monitor: what DSPs load, and what happens to them.
#include "ctl/files.hpp"
#include "ctl/monitor.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

namespace fastrpc::ctl {
namespace {

struct Asked {
    bool missing = false;
    bool follow = false;
    std::string domain;
    std::uint64_t count = 0;
};

int files(const Tool& tool, const Asked& asked) {
    FileReader reader(asked.missing, asked.domain);
    if (!asked.follow) return tool.query([&](BusClient& client) { return reader.read(client); }, files_text);
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const Status ended = follow_files(*client, reader, [&](const json& file) { tool.print_line(file, file_text); });
    return ended ? done : tool.complain(ended.error());
}

int monitor(const Tool& tool, const Asked& asked) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    Monitor monitor;
    std::uint64_t printed = 0;
    const Status ended = client->listen([&](const BusEvent& heard) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        if (heard.member == "GetManagedObjects")
            tool.remark(heard.arguments.empty() ? "listening; fastrpcd does not run yet" : "listening");
        for (json& event : monitor.hear(heard)) {
            event["time-usec"] = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
            tool.print_line(event, event_text);
            if (++printed == asked.count) return false;
        }
        return true;
    });
    return ended ? done : tool.complain(ended.error());
}

} // namespace

void add_file_verbs(Tool& tool, CLI::App& app) {
    const auto asked = std::make_shared<Asked>();
    auto* listed = add(tool, app, "files", "what the DSPs opened, or with --missing did not get",
                       [&tool, asked] { return files(tool, *asked); });
    listed->add_flag("--missing", asked->missing, "what was asked for in vain, with every place that was searched");
    listed->add_option("--domain", asked->domain, "of this DSP alone");
    listed->add_flag("-f,--follow", asked->follow, "go on with what comes, until SIGINT");
    auto* events = add(tool, app, "monitor", "prints what happens, one line per event, until SIGINT",
                       [&tool, asked] { return monitor(tool, *asked); });
    events->add_option("--count", asked->count, "end after so many events")->check(CLI::PositiveNumber);
    events->footer("Events: object-added, object-removed, state, generation, fastrpcd-started, fastrpcd-stopped.\n"
                   "\"fastrpcctl: listening\" on standard error says from when on none is missed.");
}

} // namespace fastrpc::ctl
