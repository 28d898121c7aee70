// fastrpcctl: what fastrpcd knows and decides, for people and, with --json, for programs (keys: queries.hpp).
//
//   fastrpcctl list [--json]                                       domains, PDs, sessions, counters
//   fastrpcctl status [--json]                                     is fastrpcd there, and how is it
//   fastrpcctl domain list [--json]                                the DSPs of this machine
//   fastrpcctl domain status DOMAIN [--json]                       all about one, and what to do about its problems
//   fastrpcctl pd list [--json]                                    the static PDs
//   fastrpcctl pd status DOMAIN PD [--json]                        all about one
//   fastrpcctl pd start|stop|restart DOMAIN PD [--timeout S]       root: and waits until it is so
//   fastrpcctl files [--missing] [--domain D] [--follow] [--json]  what DSPs opened, or asked for in vain (files.hpp)
//   fastrpcctl monitor [--count N] [--json]                        what happens, one line per event (monitor.hpp)
//   fastrpcctl policy reload [--json]                              root: reads the policy anew
//   fastrpcctl policy explain DOMAIN PD [--uid USER]... [--json]   may somebody have this PD, and why
//
// Exit codes: 0 as asked, or allowed; 1 fastrpcd is not running, or denied (with several users: one of them); 2
// anything else that went wrong. An explanation that could not be had is 2 as well: 1 would read as a denial.
#include "ctl/files.hpp"
#include "ctl/monitor.hpp"
#include "ctl/pd.hpp"
#include "ctl/queries.hpp"
#include "ctl/table.hpp"
#include "ctl/text.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <fmt/core.h>
#include <functional>

using namespace fastrpc;
using namespace fastrpc::ctl;

namespace {

enum ExitCode { done = 0, no = 1, failed = 2 };

int complain(const Error& error, ExitCode when_offline) {
    fmt::print(stderr, "fastrpcctl: {}\n", printable(error.text));
    return error.kind == ErrorKind::offline ? when_offline : failed;
}

int complain_of_denial(const Error& error) {
    const int code = complain(error, no);
    return error.kind == ErrorKind::denied ? no : code;
}

void print(const json& answer, bool as_json, std::string (*text)(const json&)) {
    if (as_json)
        fmt::print("{}\n", answer.dump(2, ' ', false, json::error_handler_t::replace));
    else
        fmt::print("{}", text(answer));
}

int run_query(const std::function<Result<json>(BusClient&)>& query, std::string (*text)(const json&), bool as_json,
              bool error_as_json) {
    auto client = BusClient::connect();
    const Result<json> answer = client ? query(*client) : Result<json>(std::unexpected(client.error()));
    if (answer) {
        print(*answer, as_json, text);
        return done;
    }
    if (as_json && error_as_json && answer.error().kind == ErrorKind::offline)
        fmt::print("{}\n", json{{"running", false}, {"error", answer.error().text}}.dump(2));
    return complain(answer.error(), no);
}

int run_monitor(std::uint64_t count, bool as_json) {
    auto client = BusClient::connect();
    if (!client) return complain(client.error(), no);
    Monitor monitor;
    std::uint64_t printed = 0;
    const Status ended = client->listen([&](const BusEvent& heard) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        if (heard.member == "GetManagedObjects")
            fmt::print(stderr, "fastrpcctl: listening{}\n",
                       heard.arguments.empty() ? "; fastrpcd does not run yet" : "");
        for (json& event : monitor.hear(heard)) {
            event["time-usec"] = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
            fmt::print("{}",
                       as_json ? event.dump(-1, ' ', false, json::error_handler_t::replace) + '\n' : event_text(event));
            std::fflush(stdout);
            if (++printed == count) return false;
        }
        return true;
    });
    return ended ? done : complain(ended.error(), no);
}

int run_order(const std::string& verb, const std::string& domain, const std::string& pd, unsigned seconds,
              bool as_json) {
    auto client = BusClient::connect();
    if (!client) return complain(client.error(), no);
    const auto now = order_pd(*client, verb, domain, pd, std::chrono::seconds(seconds));
    if (!now) return complain_of_denial(now.error());
    print(*now, as_json, pd_line);
    return done;
}

int run_files(bool missing, const std::string& domain, bool follow, bool as_json) {
    FileReader reader(missing, domain);
    if (!follow) return run_query([&](BusClient& client) { return reader.read(client); }, files_text, as_json, false);
    auto client = BusClient::connect();
    if (!client) return complain(client.error(), no);
    const Status ended = follow_files(*client, reader, [as_json](const json& file) {
        fmt::print("{}", as_json ? file.dump(-1, ' ', false, json::error_handler_t::replace) + '\n' : file_text(file));
    });
    return ended ? done : complain(ended.error(), no);
}

int run_explain(const std::string& domain, const std::string& pd, const std::vector<std::string>& users, bool as_json) {
    auto client = BusClient::connect();
    if (!client) return complain(client.error(), failed);
    std::vector<Account> accounts;
    for (const std::string& user : users) {
        auto account = find_account(user);
        if (!account) return complain(account.error(), failed);
        accounts.push_back(std::move(*account));
    }
    json answers = json::array();
    for (std::size_t i = 0; i < std::max<std::size_t>(1, accounts.size()); ++i) {
        auto answer = query_explain(*client, domain, pd, accounts.empty() ? nullptr : &accounts[i]);
        if (!answer) return complain(answer.error(), failed);
        answers.push_back(std::move(*answer));
    }
    if (as_json) print(answers.size() == 1 ? answers[0] : answers, true, explain_text);
    bool allowed = true;
    for (const json& answer : answers) {
        if (!as_json) print(answer, false, explain_text);
        allowed = allowed && answer["allowed"].get<bool>();
    }
    return allowed ? done : no;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app{"Shows what fastrpcd knows, and why it decides as it does", "fastrpcctl"};
    app.require_subcommand(1);
    app.footer(
        "Exit codes: 0 as asked, or allowed; 1 fastrpcd is not running, or denied; 2 anything else that went wrong.\n"
        "The keys of --json are stable: more may come, none goes.");
    app.set_version_flag("--version", FASTRPCD_VERSION);
    bool as_json = false;
    const auto with_json = [&](CLI::App* command) {
        command->add_flag("--json", as_json, "print JSON");
        return command;
    };
    auto* list = with_json(app.add_subcommand("list", "domains, PDs, sessions and their counters"));
    auto* status = with_json(app.add_subcommand("status", "whether fastrpcd runs, and how it is"));
    auto* domains = app.add_subcommand("domain", "the DSPs of this machine");
    domains->require_subcommand(1);
    auto* domain_list = with_json(domains->add_subcommand("list", "one line for each DSP"));
    domain_list->footer(
        "SESSIONS are those of clients, of the most that the hardware has. CONTEXTS are calls that may be "
        "inside the\nDSP at once: granted to sessions or lost, of those that sessions may have.");
    auto* domain_status = with_json(domains->add_subcommand("status", "all about one DSP, and hints"));
    std::string domain_name;
    domain_status->add_option("DOMAIN", domain_name, "adsp, cdsp, ...")->required();
    domain_status->footer(
        "States: absent (no node, no remoteproc), offline (no node), starting, online, recovering, failed.\n"
        "A generation is one life of the DSP, counted since fastrpcd started.");
    auto* pds = app.add_subcommand("pd", "the static PDs: processes of the system on a DSP");
    pds->require_subcommand(1);
    auto* pd_list = with_json(pds->add_subcommand("list", "one line for each"));
    std::string pd_domain;
    std::string pd_name;
    unsigned seconds = 10;
    const auto of_pd = [&](const char* name, const char* what) {
        auto* command = with_json(pds->add_subcommand(name, what));
        command->add_option("DOMAIN", pd_domain, "adsp, cdsp, ...")->required();
        command->add_option("PD", pd_name, "root, audio or sensors")->required();
        return command;
    };
    auto* pd_status = of_pd("status", "all about one");
    std::array orders{of_pd("start", "starts one that was stopped or has failed"),
                      of_pd("stop", "ends one; its host stays, and nothing but start brings it back"),
                      of_pd("restart", "ends one and starts it anew")};
    for (CLI::App* order : orders) {
        order->add_option("--timeout", seconds, "how long to wait until it is so, in seconds")->capture_default_str();
        order->footer("Only root may. Waits until the PD is as it should be, else says why it is not.");
    }
    auto* files = with_json(app.add_subcommand("files", "what the DSPs opened, or with --missing did not get"));
    bool missing = false;
    bool follow = false;
    std::string files_domain;
    files->add_flag("--missing", missing, "what was asked for in vain, with every place that was searched");
    files->add_option("--domain", files_domain, "of this DSP alone");
    files->add_flag("--follow", follow, "go on with what comes, until SIGINT");
    auto* monitor = with_json(app.add_subcommand("monitor", "prints what happens, one line per event, until SIGINT"));
    std::uint64_t count = 0;
    monitor->add_option("--count", count, "end after so many events")->check(CLI::PositiveNumber);
    monitor->footer("Events: object-added, object-removed, state, generation, fastrpcd-started, fastrpcd-stopped.\n"
                    "\"fastrpcctl: listening\" on standard error says from when on none is missed.");
    auto* policy = app.add_subcommand("policy", "the policy that decides");
    policy->require_subcommand(1);
    auto* reload = with_json(policy->add_subcommand("reload", "reads the policy's files anew"));
    reload->footer("Only root may. When a file is broken the policy before stays in force, and this fails.");
    auto* explain = with_json(policy->add_subcommand("explain", "whether somebody may have a PD, and why"));
    std::string domain;
    std::string pd;
    std::vector<std::string> users;
    explain->add_option("DOMAIN", domain, "adsp, cdsp, ...")->required();
    explain->add_option("PD", pd, "unsigned, signed, ...")->required();
    explain->add_option("--uid", users, "name or number of the user in question; root only; again for more")
        ->expected(1)
        ->take_all();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? done : failed;
    }
    if (*reload) return run_query(reload_policy, reload_text, as_json, false);
    if (*list) return run_query(query_list, list_text, as_json, false);
    if (*status) return run_query(query_status, status_text, as_json, true);
    if (*domain_list) return run_query(query_domains, domains_text, as_json, false);
    if (*domain_status) {
        const auto query = [&](BusClient& client) { return query_domain(client, domain_name); };
        return run_query(query, domain_text, as_json, false);
    }
    if (*pd_list) return run_query(query_pds, pds_text, as_json, false);
    if (*pd_status) {
        const auto query = [&](BusClient& client) { return query_pd(client, pd_domain, pd_name); };
        return run_query(query, pd_text, as_json, false);
    }
    for (const CLI::App* order : orders)
        if (*order) return run_order(order->get_name(), pd_domain, pd_name, seconds, as_json);
    if (*files) return run_files(missing, files_domain, follow, as_json);
    if (*monitor) return run_monitor(count, as_json);
    return run_explain(domain, pd, users, as_json);
}
