// policy: who may what, and why.
#include "ctl/policy_files.hpp"
#include "ctl/queries.hpp"
#include "ctl/text.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <memory>

namespace fastrpc::ctl {
namespace {

struct Asked {
    std::string domain; ///< positional, or --domain
    std::string pd;
    std::vector<std::string> users;
    std::vector<std::string> modules;
    std::string label;
    std::uint32_t directories = 0;
};
struct Files {
    std::vector<std::string> files;
    std::string table;
    std::vector<std::string> directories = policy_directories();
};

int explain(const Tool& tool, const Asked& asked) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error(), failed);
    std::vector<Account> accounts;
    for (const std::string& user : asked.users) {
        auto account = find_account(user);
        if (!account) return tool.complain(account.error(), failed);
        accounts.push_back(std::move(*account));
    }
    json answers = json::array();
    for (std::size_t i = 0; i < std::max<std::size_t>(1, accounts.size()); ++i) {
        const Request request{asked.domain.empty() ? "cdsp" : asked.domain,
                              asked.pd.empty() ? "unsigned" : asked.pd,
                              accounts.empty() ? nullptr : &accounts[i],
                              asked.modules,
                              asked.label,
                              asked.directories};
        auto answer = query_explain(*client, request);
        if (!answer) return tool.complain(answer.error(), failed);
        answers.push_back(std::move(*answer));
    }
    const auto text = [](const json& answer, const Style& style) {
        if (!answer.is_array()) return explain_text(answer, style);
        std::string all;
        for (const json& one : answer) all += explain_text(one, style);
        return all;
    };
    tool.print(answers.size() == 1 ? answers[0] : answers, text);
    bool allowed = true;
    for (const json& answer : answers) allowed = allowed && answer["allowed"].get<bool>();
    return allowed ? done : no;
}

int check(const Tool& tool, const Files& asked) {
    const json answer = check_policy_files(asked.files);
    tool.print(answer, check_text);
    return answer["error"].is_null() ? done : no;
}

int test(const Tool& tool, const Files& asked) {
    const auto answer = test_policy(asked.table, asked.directories, asked.files);
    if (!answer) return tool.complain(answer.error(), failed);
    tool.print(*answer, test_text);
    return (*answer)["failed"] == 0 ? done : no;
}

int list(const Tool& tool, const Files& asked) {
    auto client = tool.connect();
    const auto answer = list_rules(client, asked.directories);
    if (!answer) return tool.complain(answer.error());
    tool.print(*answer, rules_text);
    return done;
}

int reload_now(const Tool& tool) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const auto answer = reload_policy(*client);
    if (!answer) return tool.complain_of_denial(answer.error());
    tool.print(*answer, reload_text);
    return done;
}

void add_explain(Tool& tool, CLI::App& group) {
    const auto asked = std::make_shared<Asked>();
    auto* explained = add(tool, group, "explain", "whether somebody may have a PD, and why",
                          [&tool, asked] { return explain(tool, *asked); });
    explained->add_option("DOMAIN", asked->domain, "adsp, cdsp, ...; cdsp if left out");
    explained->add_option("PD", asked->pd, "unsigned, signed, ...; unsigned if left out");
    explained->add_option("--domain", asked->domain, "the same as DOMAIN");
    explained->add_option("--pd", asked->pd, "the same as PD");
    explained
        ->add_option("--user,--uid", asked->users, "name or number of the user in question; root only; again for more")
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all();
    explained->add_option("--module", asked->modules, "that the session would load, by its file name; again for more")
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all();
    explained->add_option("--label", asked->label, "LSM label of the program in question; root only");
    explained->add_option("--directories", asked->directories, "how many of its own the program would bring");
    explained->footer("Exit codes: 0 allowed; 1 denied, or left to polkit; 2 when there is no answer.");
}

void add_files(Tool& tool, CLI::App& group) {
    const auto asked = std::make_shared<Files>();
    auto* listed = add(tool, group, "list", "the rules in force, in the order in which they are tried",
                       [&tool, asked] { return list(tool, *asked); });
    auto* checked = add(tool, group, "check", "reads policy files as fastrpcd would, without putting them in force",
                        [&tool, asked] { return check(tool, *asked); });
    checked->add_option("FILE", asked->files, "policy files, together")->required();
    checked->footer("Works without fastrpcd. Exit codes: 0 they are fine, warnings or not; 1 they are not.");
    auto* tested = add(tool, group, "test", "holds a table of requests and expected answers against the policy",
                       [&tool, asked] { return test(tool, *asked); });
    tested->add_option("TABLE", asked->table, "file with the requests")->required();
    tested->add_option("--policy", asked->files, "this file alone, not the machine's; again for more")
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all();
    tested->footer("Works without fastrpcd. Exit codes: 0 every answer is as expected; 1 some are not; 2 no table, or "
                   "no policy.");
    for (CLI::App* command : {listed, tested})
        command->add_option("--policy-dir", asked->directories, "where the files are, a later one first")
            ->expected(1)
            ->allow_extra_args(false)
            ->take_all()
            ->capture_default_str();
}

} // namespace

void add_policy_verbs(Tool& tool, CLI::App& app) {
    auto* group = add_group(app, "policy", "the policy that decides");
    add_files(tool, *group);
    add_explain(tool, *group);
    add_decision_log(tool, *group);
    auto* reload = add(tool, *group, "reload", "reads the policy's files anew", [&tool] { return reload_now(tool); });
    reload->footer(
        "Only root may, and whom polkit lets. When a file is broken the policy before stays in force, and this fails.");
}

} // namespace fastrpc::ctl
