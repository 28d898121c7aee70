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
    static Result<Opener> start(const Trace* trace, unsigned ready_hosts) {
        stack::Options options{
            .policy = stack::source_root() / "tests/bench/policy.d", .ready_hosts = ready_hosts, .quiet = true};
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

    /// Milliseconds to the first call's answer.
    Result<double> open() {
        if (const Status sent = client_.send("open"); !sent) return std::unexpected(sent.error());
        const std::string line = client_.line();
        std::istringstream words(line);
        double session = 0, module = 0, call = 0;
        if (!(words >> session >> module >> call)) return fail(ErrorKind::system, "an open failed: " + line);
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

/// Opens on two systems whose fastrpcd keeps so many hosts ready, one of them traced.
class Way {
public:
    static Result<Way> start(unsigned ready_hosts) {
        auto trace = Trace::make(1U << 16);
        if (!trace) return std::unexpected(trace.error());
        auto traced = Opener::start(trace->get(), ready_hosts);
        if (!traced) return std::unexpected(traced.error());
        auto plain = Opener::start(nullptr, ready_hosts);
        if (!plain) return std::unexpected(plain.error());
        return Way(std::move(*trace), std::move(*traced), std::move(*plain));
    }

    /// One open on each; the machine is at rest when it begins and when it returns.
    Status open(std::size_t ready_hosts) {
        trace_->clear();
        const auto done = traced_.open();
        if (!done) return std::unexpected(done.error());
        if (const Status rests = rest(ready_hosts); !rests) return rests;
        const auto beside = plain_.open();
        if (!beside) return std::unexpected(beside.error());
        if (const Status rests = rest(ready_hosts); !rests) return rests;
        const auto events = trace_->events();
        if (!events) return std::unexpected(events.error());
        const auto times = open_times(*events, traced_.client(), traced_.fastrpcd());
        if (!times) return std::unexpected(times.error());
        samples_.total.push_back(times->total / 1000);
        samples_.ours.push_back((times->total - times->dsp) / 1000);
        for (std::size_t step = 0; step < open_steps.size(); ++step)
            samples_.steps[step].push_back(times->steps[step] / 1000);
        samples_.untraced.push_back(*beside);
        return {};
    }
    void forget() { samples_ = {}; }
    [[nodiscard]] const Samples& samples() const noexcept { return samples_; }

private:
    Way(std::unique_ptr<Trace> trace, Opener traced, Opener plain) :
        trace_(std::move(trace)), traced_(std::move(traced)), plain_(std::move(plain)) {}
    static Status rest(std::size_t waiting) {
        if (stack::eventually([&] { return session_hosts().empty() && ready_hosts().size() >= waiting; },
                              std::chrono::seconds(60)))
            return {};
        return fail(ErrorKind::timeout, "the host of a closed session did not end, or none waits for the next");
    }
    std::unique_ptr<Trace> trace_;
    Opener traced_, plain_;
    Samples samples_;
};

void report(const char* name, const std::string& key, std::vector<double> values,
            std::map<std::string, double>& figures) {
    const double p50 = percentile(values, 50), p99 = percentile(values, 99);
    fmt::print("  {:62} {:8.3f} {:8.3f}\n", name, p50, p99);
    figures[key + "_p50_ms"] = p50;
    figures[key + "_p99_ms"] = p99;
}

void report(const char* what, const std::string& key, const Samples& samples, std::map<std::string, double>& figures) {
    fmt::print("From OpenSession to the first call, {}, ms\n  {:62} {:>8} {:>8}\n", what, "", "p50", "p99");
    for (std::size_t step = 0; step < open_steps.size(); ++step)
        report(open_steps[step].about, fmt::format("{}_{}", key, open_steps[step].key), samples.steps[step], figures);
    report("all", key + "_total", samples.total, figures);
    report("all, untraced", key + "_untraced", samples.untraced, figures);
    report("without the DSP's share (goal: p50 <= 5)", key, samples.ours, figures);
}

Status run(unsigned opens, const std::string& json) {
    auto ready = Way::start(1), none = Way::start(0);
    if (!ready) return std::unexpected(ready.error());
    if (!none) return std::unexpected(none.error());
    for (unsigned i = 0; i < opens + 1; ++i) {
        // Of the first round the traced one of `ready` alone has made one wait when it is over.
        if (const Status done = ready->open(i == 0 ? 1 : 2); !done) return done;
        if (const Status done = none->open(2); !done) return done;
        if (i > 0) continue; // the first ones read everything from disk
        ready->forget();
        none->forget();
    }
    std::map<std::string, double> figures{{"opens", opens}};
    report("a host being ready", "open", ready->samples(), figures);
    report("a host being started", "open_cold", none->samples(), figures);
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
