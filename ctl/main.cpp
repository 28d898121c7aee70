// fastrpcctl: what fastrpcd knows and decides, for people and, with --json, for programs (keys: queries.hpp).
//
//   fastrpcctl list [--json]                                       domains, PDs, sessions, counters
//   fastrpcctl status [--json]                                     is fastrpcd there, and how is it
//   fastrpcctl policy explain DOMAIN PD [--uid USER]... [--json]   may somebody have this PD, and why
//
// Exit codes: 0 as asked, or allowed; 1 fastrpcd is not running, or denied (with several users: one of them); 2
// anything else that went wrong. An explanation that could not be had is 2 as well: 1 would read as a denial.
#include "ctl/queries.hpp"
#include "ctl/text.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fmt/core.h>

using namespace fastrpc;
using namespace fastrpc::ctl;

namespace {

enum ExitCode { done = 0, no = 1, failed = 2 };

int complain(const Error& error, ExitCode when_offline) {
    fmt::print(stderr, "fastrpcctl: {}\n", printable(error.text));
    return error.kind == ErrorKind::offline ? when_offline : failed;
}

void print(const json& answer, bool as_json, std::string (*text)(const json&)) {
    if (as_json)
        fmt::print("{}\n", answer.dump(2, ' ', false, json::error_handler_t::replace));
    else
        fmt::print("{}", text(answer));
}

int run_query(Result<json> (*query)(BusClient&), std::string (*text)(const json&), bool as_json, bool error_as_json) {
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
    app.set_version_flag("--version", FASTRPCD_VERSION);
    bool as_json = false;
    const auto with_json = [&](CLI::App* command) {
        command->add_flag("--json", as_json, "print JSON");
        return command;
    };
    auto* list = with_json(app.add_subcommand("list", "domains, PDs, sessions and their counters"));
    auto* status = with_json(app.add_subcommand("status", "whether fastrpcd runs, and how it is"));
    auto* policy = app.add_subcommand("policy", "the policy that decides");
    policy->require_subcommand(1);
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
    if (*list) return run_query(query_list, list_text, as_json, false);
    if (*status) return run_query(query_status, status_text, as_json, true);
    return run_explain(domain, pd, users, as_json);
}
