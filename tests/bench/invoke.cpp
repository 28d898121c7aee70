// bench invoke: what a call costs through fastrpcd, beside a program that opens the device itself and beside what else
// could reach a daemon that does (docs/benchmarks.md).
//
// A repetition starts every contender anew and takes them through all cells, one contender right after the other and
// in another order each time, so that a machine whose speed drifts drifts for all.
#include "tests/bench/awake_cpus.hpp"
#include "tests/bench/contenders.hpp"
#include "tests/bench/footprint.hpp"
#include "tests/bench/invoke_chart.hpp"
#include "tests/bench/invoke_report.hpp"
#include "tests/bench/spans.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>

namespace fastrpc::bench {

namespace {

struct Options {
    unsigned repetitions = 5, calls = 20000, window_ms = 250;
    bool full = false, awake = false, spans = false, only_spans = false;
    std::string json, plot;
};

class InvokeBench {
public:
    InvokeBench(const stack::Stack& system, Options options) :
        system_(system), options_(std::move(options)), contenders_(system) {}

    Status run() {
        if (const Status found = contenders_.find_lanes(); !found) return found;
        if (const Status up = contenders_.start_peers(); !up) return up;
        for (const std::string& note : contenders_.notes()) std::printf("%s\n", note.c_str());
        for (unsigned i = 0; i < options_.repetitions; ++i) {
            if (const Status done = repetition(i); !done) return done;
            std::fprintf(stderr, "bench invoke: repetition %u of %u done\n", i + 1, options_.repetitions);
        }
        return {};
    }

    [[nodiscard]] const Contenders& contenders() const noexcept { return contenders_; }
    [[nodiscard]] const Samples& samples() const noexcept { return samples_; }
    /// What single contenders could not do.
    [[nodiscard]] const std::map<std::string, std::string>& refusals() const noexcept { return refusals_; }

private:
    Status repetition(unsigned number) {
        std::vector<Contender> all;
        for (const std::string& name : contenders_.names()) {
            auto contender = contenders_.start(name);
            if (!contender) return std::unexpected(contender.error());
            all.push_back(std::move(*contender));
        }
        // Who goes first changes, so that nobody always runs on the warmer machine.
        std::ranges::rotate(all, all.begin() + number % static_cast<unsigned>(all.size()));
        std::optional<unsigned> dsp_us;
        for (const Cell& cell : cells(options_.full)) {
            if (dsp_us != cell.dsp_us)
                if (const Status set = system_.set_latency(cell.dsp_us); !set) return set;
            dsp_us = cell.dsp_us;
            for (unsigned i = 0; i < rounds(cell); ++i)
                for (Contender& contender : all)
                    if (const Status done = measure(contender, cell); !done) return done;
        }
        return {};
    }

    // The goals' own cells come more often: their tails and their neighbours are to mean something.
    static unsigned rounds(const Cell& cell) {
        return cell.payload == headline(0).payload && (cell.clients == 1 || cell.clients == 8) ? 3 : 1;
    }

    Status measure(Contender& contender, const Cell& cell) {
        const std::string load = contender.name() + ", " + cell.payload.name();
        if (refusals_.contains(load)) return {};
        double empty = 0;
        if (cell.payload == largest && cell.clients == 1) {
            const auto before = contender.round(1, {}, options_.window_ms, options_.calls);
            if (!before) return std::unexpected(before.error());
            empty = before->p50;
        }
        auto sample = contender.round(cell.clients, cell.payload, options_.window_ms, options_.calls);
        if (!sample) {
            if (contender.name() != dbus && contender.name() != grpc) return std::unexpected(sample.error());
            refusals_[load] = sample.error().text; // a peer's own limit is not ours to mend
            return {};
        }
        sample->empty_p50 = empty;
        samples_[contender.name()][cell].push_back(*sample);
        return {};
    }

    const stack::Stack& system_;
    Options options_;
    Contenders contenders_;
    Samples samples_;
    std::map<std::string, std::string> refusals_;
};

Status measure_matrix(const stack::Stack& system, const Options& options, std::map<std::string, double>& figures,
                      nlohmann::json& cells) {
    InvokeBench bench(system, options);
    if (const Status done = bench.run(); !done) return done;
    const InvokeReport report(bench.samples(), bench.contenders().names(), bench.contenders().usual());
    report.print();
    for (const auto& [load, why] : bench.refusals()) std::printf("not measured: %s: %s\n", load.c_str(), why.c_str());
    figures = report.figures();
    cells = report.cells();
    return measure_footprints(bench.contenders(), figures);
}

Status run(const Options& options) {
    const auto system = stack::Stack::start({.policy = stack::source_root() / "tests/bench/policy.d", .quiet = true});
    if (!system) return std::unexpected(system.error());
    std::optional<AwakeCpus> awake;
    if (options.awake) awake.emplace();
    std::printf("%u interleaved repetitions, rounds of %u ms, %u CPUs, %s\n", options.repetitions, options.window_ms,
                std::thread::hardware_concurrency(),
                awake ? awake->describe().c_str() : "CPUs sleep as they like (--awake keeps them awake)");
    std::map<std::string, double> figures;
    nlohmann::json cells = nlohmann::json::array();
    if (!options.only_spans) {
        if (const Status done = measure_matrix(**system, options, figures, cells); !done) return done;
    }
    if (options.spans || options.only_spans)
        if (const Status done = measure_spans(options.repetitions, figures); !done) return done;
    if (!options.json.empty() && !write_figures(options.json, "invoke", figures, {{"cells", cells}}))
        return fail(ErrorKind::system, "cannot write " + options.json);
    if (!options.plot.empty() && !options.only_spans) return draw_invoke_chart(cells, options.plot);
    return {};
}

} // namespace
} // namespace fastrpc::bench

int main(int argc, char** argv) {
    using namespace fastrpc;
    using namespace fastrpc::bench;
    CLI::App app(
        "Latency and throughput of calls through fastrpcd, beside the device itself and other ways to a daemon",
        "bench invoke");
    Options options;
    app.add_option("--repetitions", options.repetitions, "of everything, interleaved")->check(CLI::Range(1, 1000));
    app.add_option("--calls", options.calls, "most calls of a client in a round")->check(CLI::Range(100, 1000000));
    app.add_option("--window", options.window_ms, "longest round, milliseconds")->check(CLI::Range(10, 60000));
    app.add_flag("--full", options.full, "all payloads with all numbers of clients");
    app.add_flag("--spans", options.spans, "also where the time of a call goes, and the floor under it");
    app.add_flag("--only-spans", options.only_spans, "nothing but that");
    app.add_flag("--awake", options.awake, "keep the CPUs from sleeping");
    app.add_option("--json", options.json, "write the figures to this file");
    app.add_option("--plot", options.plot, "draw a chart to this file, SVG");
    CLI11_PARSE(app, argc, argv);
    if (const Status done = run(options); !done) {
        std::fprintf(stderr, "bench invoke: %s\n", done.error().text.c_str());
        return 1;
    }
    return 0;
}
