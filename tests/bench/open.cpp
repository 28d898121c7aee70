// bench open: from OpenSession to the answer of the first call, and where that time goes (docs/benchmarks.md).
//
// The programs are the product's own. A preload library notes when their system calls begin and return (trace.c), which
// costs microseconds of the milliseconds that an open takes; that is measured too, by opens on a system without it.
#include "tests/bench/figures.hpp"
#include "tests/bench/open_steps.hpp"
#include "tests/bench/session_hosts.hpp"
#include "tests/stack/line_program.hpp"
#include "tests/stack/stack.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <sstream>

namespace fastrpc::bench {
namespace {

struct Samples {
    std::vector<double> total, ours; ///< ms; ours: less the DSP's share
    std::array<std::vector<double>, open_steps.size()> steps;
    std::vector<double> untraced; ///< ms
};

/// A system and a client on it, traced or not.
class Opener {
public:
    static Result<Opener> start(const Trace* trace) {
        stack::Options options{.policy = stack::source_root() / "tests/bench/policy.d", .quiet = true};
        if (trace != nullptr) options.environment = trace->environment();
        auto system = stack::Stack::start(options);
        if (!system) return std::unexpected(system.error());
        stack::Launch launch = (*system)->client(
            "tests/bench/open-client", {"--module-dir", (stack::build_root() / "tests/unit/vdsp_dsp").string()});
        if (trace != nullptr) trace->add_to(launch.environment);
        auto client = stack::LineProgram::start(std::move(launch), true);
        if (!client) return std::unexpected(client.error());
        return Opener(std::move(*system), std::move(*client));
    }

    /// Milliseconds to the first call's answer. The machine is at rest again when it returns.
    Result<double> open() {
        if (const Status sent = client_.send("open"); !sent) return std::unexpected(sent.error());
        const std::string line = client_.line();
        std::istringstream words(line);
        double session = 0, module = 0, call = 0;
        if (!(words >> session >> module >> call)) return fail(ErrorKind::system, "an open failed: " + line);
        if (!stack::eventually([&] { return session_hosts().empty(); }, std::chrono::seconds(60)))
            return fail(ErrorKind::timeout, "the host of a closed session did not end");
        return (session + module + call) / 1000;
    }
    [[nodiscard]] pid_t client() const noexcept { return client_.pid(); }
    [[nodiscard]] pid_t fastrpcd() const noexcept { return system_->fastrpcd(); }

private:
    Opener(std::unique_ptr<stack::Stack> system, stack::LineProgram client) :
        system_(std::move(system)), client_(std::move(client)) {}
    std::unique_ptr<stack::Stack> system_;
    stack::LineProgram client_;
};

Status measure(unsigned opens, Samples& samples) {
    const auto trace = Trace::make(1U << 16);
    if (!trace) return std::unexpected(trace.error());
    auto traced = Opener::start(trace->get());
    if (!traced) return std::unexpected(traced.error());
    auto plain = Opener::start(nullptr);
    if (!plain) return std::unexpected(plain.error());
    for (unsigned i = 0; i < opens + 1; ++i) {
        (*trace)->clear();
        const auto done = traced->open();
        if (!done) return std::unexpected(done.error());
        const auto beside = plain->open();
        if (!beside) return std::unexpected(beside.error());
        if (i == 0) continue; // the first one reads everything from disk
        const auto events = (*trace)->events();
        if (!events) return std::unexpected(events.error());
        const auto times = open_times(*events, traced->client(), traced->fastrpcd());
        if (!times) return std::unexpected(times.error());
        samples.total.push_back(times->total / 1000);
        samples.ours.push_back((times->total - times->dsp) / 1000);
        for (std::size_t step = 0; step < open_steps.size(); ++step)
            samples.steps[step].push_back(times->steps[step] / 1000);
        samples.untraced.push_back(*beside);
    }
    return {};
}

void report(const char* name, const char* key, std::vector<double> values, std::map<std::string, double>& figures) {
    const double p50 = percentile(values, 50), p99 = percentile(values, 99);
    fmt::print("  {:62} {:8.3f} {:8.3f}\n", name, p50, p99);
    figures[fmt::format("open{}_p50_ms", key)] = p50;
    figures[fmt::format("open{}_p99_ms", key)] = p99;
}

Status run(unsigned opens, const std::string& json) {
    Samples samples;
    if (const Status done = measure(opens, samples); !done) return done;
    std::map<std::string, double> figures{{"opens", opens}};
    fmt::print("From OpenSession to the first call, {} opens one after the other, ms\n  {:62} {:>8} {:>8}\n", opens, "",
               "p50", "p99");
    for (std::size_t step = 0; step < open_steps.size(); ++step)
        report(open_steps[step].about, fmt::format("_{}", open_steps[step].key).c_str(), samples.steps[step], figures);
    report("all", "_total", samples.total, figures);
    report("all, untraced", "_untraced", samples.untraced, figures);
    report("without the DSP's share (goal: p50 <= 5)", "", samples.ours, figures);
    fmt::print("The goal is {}.\n", figures.at("open_p50_ms") <= 5 ? "met" : "MISSED");
    if (!json.empty() && !write_figures(json, "open", figures)) return fail(ErrorKind::system, "cannot write " + json);
    return {};
}

} // namespace
} // namespace fastrpc::bench

int main(int argc, char** argv) {
    CLI::App app("From OpenSession to the first call, step by step", "bench open");
    unsigned opens = 100;
    std::string json;
    app.add_option("--opens,--repetitions", opens, "opens that count")->check(CLI::Range(5, 100000));
    app.add_option("--json", json, "write the figures to this file");
    CLI11_PARSE(app, argc, argv);
    if (const fastrpc::Status done = fastrpc::bench::run(opens, json); !done) {
        fmt::print(stderr, "bench open: {}\n", done.error().text);
        return 1;
    }
    return 0;
}
