// run, bench, top: verbs that use a DSP, or show how it is used.
#include "ctl/bench.hpp"
#include "ctl/run.hpp"
#include "ctl/tool.hpp"
#include "ctl/top.hpp"

#include <CLI/CLI.hpp>
#include <memory>

namespace fastrpc::ctl {
namespace {

int run(const Tool& tool, const RunOptions& options) {
    if (const Status here = tool.local_only("run"); !here) return tool.complain(here.error());
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    return tool.complain_of_denial(run_command(*client, options, [&](const std::string& text) { tool.remark(text); }));
}

int bench(const Tool& tool, const BenchOptions& options) {
    if (const Status here = tool.local_only("bench"); !here) return tool.complain(here.error());
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const auto figures = measure(*client, options);
    if (!figures) return tool.complain_of_denial(figures.error());
    tool.print(*figures, bench_text);
    return done;
}

int top(const Tool& tool, const TopOptions& options) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const Status ended = run_top(*client, options, tool);
    return ended ? done : tool.complain(ended.error());
}

} // namespace

void add_use_verbs(Tool& tool, CLI::App& app) {
    const auto run_options = std::make_shared<RunOptions>();
    auto* command = add(tool, app, "run", "waits for a free place on a DSP, then runs a command",
                        [&tool, run_options] { return run(tool, *run_options); });
    command->add_option("--domain", run_options->domain, "on this DSP; else the first that is allowed");
    command->add_option("--pd", run_options->pd, "unsigned or signed")->capture_default_str();
    command->add_option("--wait", run_options->seconds, "how long at most, in seconds")->capture_default_str();
    command->add_option("COMMAND", run_options->command, "behind --, with its arguments")->required();
    command->footer(
        "Takes its turn in the queue of the DSP, opens a session to see that there is a place, gives it "
        "back and becomes\nthe command. The place is not kept: FASTRPC_WAIT_MS, which libfastrpc heeds, has "
        "the command's own sessions\nwait as long in case somebody was faster. The exit code is the "
        "command's; 1 denied; 2 no place in time.");

    const auto bench_options = std::make_shared<BenchOptions>();
    auto* measured = add(tool, app, "bench", "how long opening a session and asking its host take; needs no module",
                         [&tool, bench_options] { return bench(tool, *bench_options); });
    measured->add_option("--domain", bench_options->domain, "on this DSP")->capture_default_str();
    measured->add_option("--pd", bench_options->pd, "unsigned or signed")->capture_default_str();
    measured->add_option("--count", bench_options->count, "rounds")->check(CLI::Range(1, 10000))->capture_default_str();

    const auto top_options = std::make_shared<TopOptions>();
    auto* shown = add(tool, app, "top", "who uses the DSPs now, as a live table",
                      [&tool, top_options] { return top(tool, *top_options); });
    shown->add_flag("-b,--batch", top_options->batch, "no keys and no terminal: one table after the other");
    shown->add_option("-n,--iterations", top_options->tables, "end after so many tables")->check(CLI::PositiveNumber);
    shown->add_option("-d,--delay", top_options->delay, "between tables, in seconds")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    shown->add_option("-s,--sort", top_options->sort, "by calls, bytes, p50, p99, files or owner")
        ->check(CLI::IsMember({"calls", "bytes", "p50", "p99", "files", "owner"}))
        ->capture_default_str();
    shown->add_flag("--by-uid", top_options->by_uid, "one line for each user, instead of each session");
    shown->footer(
        "Keys: c calls, b bytes, m p50, l p99, f files, o owner (sort by it); u by user or by session; q quit.\n"
        "One sees one's own sessions, root all of them.");
}

} // namespace fastrpc::ctl
