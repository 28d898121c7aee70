// doctor and metrics: what is wrong, and what is counted.
#include "ctl/doctor.hpp"
#include "ctl/metrics.hpp"
#include "ctl/metrics_http.hpp"
#include "ctl/queries.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

struct Asked {
    std::string root;
    std::string host_user = "fastrpc-host";
    std::string format = "openmetrics";
    bool http = false;
};

int doctor(const Tool& tool, const Asked& asked) {
    if (const Status here = tool.local_only("doctor"); !here) return tool.complain(here.error());
    const discovery::Roots roots{asked.root};
    const discovery::Machine machine = discovery::discover(roots);
    Findings findings;
    check_devices(roots, machine, asked.host_user, findings);
    check_firmware(roots, machine, findings);
    check_conflicts(roots, findings);
    check_fastrpcd(findings);
    const json report = doctor_report(findings);
    tool.print(report, doctor_text);
    return report["failed"] == 0 ? done : no;
}

int metrics(const Tool& tool, const Asked& asked) {
    if (asked.http) {
        serve_metrics_once(tool, STDIN_FILENO, STDOUT_FILENO);
        return done; // whatever came: a scraper's mistakes are no failure of the unit
    }
    const MetricsForm form = asked.format == "prometheus" ? MetricsForm::prometheus : MetricsForm::openmetrics;
    return tool.query(query_metrics, [form](const json& all, const Style&) { return metrics_text(all, form); });
}

} // namespace

void add_check_verbs(Tool& tool, CLI::App& app) {
    const auto asked = std::make_shared<Asked>();
    auto* checked = add(tool, app, "doctor", "looks for what keeps the DSPs from working, and says what to do",
                        [&tool, asked] { return doctor(tool, *asked); });
    checked
        ->add_option("--machine-root", asked->root,
                     "directory that holds the machine's dev, sys, proc, lib, etc and usr")
        ->check(CLI::ExistingDirectory);
    checked->add_option("--host-user", asked->host_user, "who hosts run as")->capture_default_str();
    checked->footer("Each line is ok, a warning or failed. Looks at this machine's files as well as at what fastrpcd "
                    "says, so that much\nis told when it does not run. Run as root it sees all. Exit code 1 when "
                    "something has failed.");
    auto* counted = add(tool, app, "metrics", "counters and gauges as OpenMetrics text",
                        [&tool, asked] { return metrics(tool, *asked); });
    auto* format =
        counted->add_option("--format", asked->format, "openmetrics, or prometheus for its collector of text files")
            ->check(CLI::IsMember({"openmetrics", "prometheus"}))
            ->capture_default_str();
    counted->add_flag("--http", asked->http, "answer one HTTP request from standard input, as fastrpcd-metrics.socket")
        ->excludes(format);
    counted->footer("For a scraper's textfile or exec collector. One's own sessions alone, as root all of them.");
}

} // namespace fastrpc::ctl
