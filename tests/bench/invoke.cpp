// bench invoke: what the broker costs per call, against a program that opens the device itself.
//
// Both call the same method of the same module on the same virtual SoC, one thread, 256 bytes each way. Rounds of
// direct and brokered calls alternate within one run, so that a machine whose speed drifts drifts for both; a round's
// ratio compares neighbours in time. Twice: with no DSP time, and with 90 us, about what a real DSP takes.
#include "tests/bench/contender.hpp"
#include "tests/bench/figures.hpp"
#include "tests/stack/stack.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

using namespace fastrpc;

namespace {

struct Round {
    double p50 = 0, p99 = 0;
};

Result<Round> measure(const stack::Launch& launch) {
    Round round;
    const Status done = bench::run_contender(launch, {&round.p50, &round.p99});
    if (!done) return std::unexpected(done.error());
    return round;
}

struct Column { // one contender at one DSP time
    std::vector<double> p50, p99;
    void add(const Round& round) {
        p50.push_back(round.p50);
        p99.push_back(round.p99);
    }
};

void print(const char* name, const std::vector<double>& values, const char* unit) {
    const bench::Spread s = bench::spread(values);
    std::printf("  %-22s median %8.2f%s   min %8.2f   max %8.2f\n", name, s.median, unit, s.least, s.most);
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Latency of a call through the broker against the device itself", "bench invoke");
    unsigned repetitions = 7, calls = 4000;
    std::string file;
    app.add_option("--repetitions", repetitions, "rounds of each kind, interleaved")->check(CLI::Range(5, 1000));
    app.add_option("--calls", calls, "calls in a round")->check(CLI::Range(100, 1000000));
    app.add_option("--json", file, "write the figures to this file");
    CLI11_PARSE(app, argc, argv);

    auto system = stack::Stack::start({.quiet = true});
    if (!system) {
        std::fprintf(stderr, "bench invoke: %s\n", system.error().text.c_str());
        return 1;
    }
    const std::string modules = (stack::build_root() / "tests/unit/vdsp_dsp").string();
    const std::vector<std::string> arguments{"--module-dir", modules, "--calls", std::to_string(calls)};
    const stack::Launch brokered = (*system)->client("tests/bench/invoke-brokered", arguments);
    stack::Launch direct = (*system)->client("tests/bench/invoke-direct", arguments, "bin");
    direct.environment = (*system)->device_environment();
    for (const std::string& word : {std::string("--dsp-dir"), (*system)->dsp_directory().string()})
        direct.command.push_back(word);

    std::map<std::string, double> figures{{"calls", static_cast<double>(calls) * repetitions * 4}};
    for (const unsigned latency : {0U, 90U}) {
        if (const Status done = (*system)->set_latency(latency); !done) {
            std::fprintf(stderr, "bench invoke: %s\n", done.error().text.c_str());
            return 1;
        }
        Column alone, through;
        std::vector<double> ratio50, ratio99, added;
        for (unsigned i = 0; i < repetitions; ++i) {
            // Who goes first changes, so that neither always runs on the warmer machine.
            Result<Round> a = measure(i % 2 == 0 ? direct : brokered);
            Result<Round> b = measure(i % 2 == 0 ? brokered : direct);
            if (!a || !b) {
                std::fprintf(stderr, "bench invoke: %s\n", (a ? b : a).error().text.c_str());
                return 1;
            }
            if (i % 2 != 0) std::swap(a, b);
            alone.add(*a);
            through.add(*b);
            ratio50.push_back(b->p50 / a->p50);
            ratio99.push_back(b->p99 / a->p99);
            added.push_back(b->p50 - a->p50);
        }
        std::printf("%u us of DSP time, %u interleaved rounds of %u calls each\n", latency, repetitions, calls);
        print("direct p50", alone.p50, " us");
        print("direct p99", alone.p99, " us");
        print("brokered p50", through.p50, " us");
        print("brokered p99", through.p99, " us");
        print("p50 brokered/direct", ratio50, "   ");
        print("p99 brokered/direct", ratio99, "   ");
        print("added p50", added, " us");
        const std::string suffix = "_" + std::to_string(latency) + "us";
        figures["p50_ratio" + suffix] = bench::spread(ratio50).median;
        figures["p99_ratio" + suffix] = bench::spread(ratio99).median;
        figures["added_p50_us" + suffix] = bench::spread(added).median;
        figures["direct_p50_us" + suffix] = bench::spread(alone.p50).median;
        figures["brokered_p50_us" + suffix] = bench::spread(through.p50).median;
    }
    if (!file.empty() && !bench::write_figures(file, "invoke", figures)) {
        std::fprintf(stderr, "bench invoke: cannot write %s\n", file.c_str());
        return 1;
    }
    return 0;
}
