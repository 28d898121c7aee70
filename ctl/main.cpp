// fastrpcctl: what fastrpcd knows and decides, for people and, with --json, for programs.
//
// The grammar is that of loginctl and systemctl: global options stand before or behind the verb. Verbs are declared in
// verbs_*.cpp; the keys of --json stand in queries.hpp and beside what makes the others. fastrpcctl(1) has all of it.
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>

using namespace fastrpc::ctl;

int main(int argc, char** argv) {
    CLI::App app{"Shows what fastrpcd knows, and why it decides as it does", "fastrpcctl"};
    Tool tool;
    app.fallthrough(); // before there are verbs: they inherit it
    app.require_subcommand(1);
    app.footer("Exit codes: 0 as asked, or allowed; 1 fastrpcd is not running, or denied, or a check found something;\n"
               "2 anything else that went wrong. The keys of --json and of show are stable: more may come, none goes.");
    app.set_version_flag("--version", FASTRPCD_VERSION);
    app.add_flag("--json{pretty}", tool.json_form, "print JSON: --json=short, or pretty")
        ->check(CLI::IsMember({"short", "pretty"}));
    app.add_flag("--no-pager", tool.no_pager, "never start a pager");
    app.add_flag("--no-legend", tool.no_legend, "no column heads");
    app.add_flag("-q,--quiet", tool.quiet, "no remarks on standard error");
    app.add_flag("--no-ask-password", tool.no_ask_password, "nobody is asked for a password, even at a terminal");
    app.add_option("-H,--host", tool.host, "of the machine USER@HOST, over ssh");
    app.add_option("-M,--machine", tool.machine, "of this container of the machine");
    add_daemon_verbs(tool, app);
    add_domain_verbs(tool, app);
    add_pd_verbs(tool, app);
    add_session_verbs(tool, app);
    add_file_verbs(tool, app);
    add_journal_verbs(tool, app);
    add_policy_verbs(tool, app);
    add_use_verbs(tool, app);
    add_check_verbs(tool, app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? done : failed;
    }
    tool.settle();
    return tool.chosen();
}
