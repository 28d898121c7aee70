// bench vdsp: what the virtual driver and DSP themselves cost, so that nobody takes their time for the product's.
//
// One server, no DSP time, a module that does nothing: an empty call, 64 KiB copied each way, 16 MiB in shared memory;
// then empty calls of 1 to 32 threads, on one open file and on several with a PD each.
#include "tests/bench/awake_cpus.hpp"
#include "tests/bench/contender.hpp"
#include "tests/bench/figures.hpp"
#include "tests/stack/stack.hpp"
#include "tests/support/scratch.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <sys/stat.h>
#include <thread>

using namespace fastrpc;
namespace fs = std::filesystem;

namespace {

constexpr unsigned most_files = 12;

struct Round {
    double p50 = 0, p99 = 0, rate = 0;
};

/// The virtual SoC, in a directory of its own.
class Soc {
public:
    static Result<std::unique_ptr<Soc>> start() {
        std::unique_ptr<Soc> soc(new Soc);
        ::chmod(soc->scratch_.path().c_str(), 0755);
        // Clients are numbered by slot, so that one process may own several PDs (KERNEL 1.6).
        soc->scratch_.file("soc.json", R"({"domains": [{"name": "cdsp", "kernel": "7.1"}]})");
        soc->scratch_.file("shell", "a shell");
        auto process =
            stack::Process::start({.command = {(stack::build_root() / "vdsp/driver/fastrpc-vdsp").string(), "--soc",
                                               soc->path("soc.json"), "--socket", soc->path("socket")}});
        if (!process) return std::unexpected(process.error());
        soc->process_.emplace(std::move(*process));
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
        while (!fs::exists(soc->path("socket"))) {
            if (std::chrono::steady_clock::now() > end || soc->process_->wait(std::chrono::milliseconds(5)))
                return fail(ErrorKind::system, "the virtual SoC did not start");
        }
        return soc;
    }

    Result<Round> round(const std::string& mode, unsigned threads, unsigned files, unsigned calls) const {
        const stack::Launch launch{
            .command = {(stack::build_root() / "tests/bench/vdsp-round").string(), "--module-dir",
                        (stack::build_root() / "tests/unit/vdsp_dsp").string(), "--shell", path("shell"), "--mode",
                        mode, "--calls", std::to_string(calls), "--threads", std::to_string(threads), "--files",
                        std::to_string(files)},
            .environment = {{"LD_PRELOAD", (stack::build_root() / "vdsp/shim/libfastrpc-vdsp-shim.so").string()},
                            {"FASTRPC_VDSP_SOCKET", path("socket")}}};
        Round round;
        const Status done = bench::run_contender(launch, {&round.p50, &round.p99, &round.rate});
        if (!done) return std::unexpected(done.error());
        return round;
    }

private:
    Soc() = default;
    [[nodiscard]] std::string path(const char* name) const { return scratch_.path(name); }

    test::Scratch scratch_; // outlives the process that uses it
    std::optional<stack::Process> process_;
};

/// Medians over some rounds.
Result<Round> median(const Soc& soc, unsigned repetitions, const std::string& mode, unsigned threads, unsigned files,
                     unsigned calls) {
    std::vector<double> p50, p99, rate;
    for (unsigned i = 0; i < repetitions; ++i) {
        const auto round = soc.round(mode, threads, files, calls);
        if (!round) return round;
        p50.push_back(round->p50);
        p99.push_back(round->p99);
        rate.push_back(round->rate);
    }
    return Round{bench::spread(p50).median, bench::spread(p99).median, bench::spread(rate).median};
}

/// What a call carries, side by side in each round.
Status compare_kinds(const Soc& soc, unsigned repetitions, unsigned calls, std::map<std::string, double>& figures) {
    struct Kind {
        const char *mode, *name;
        std::vector<double> p50 = {}, p99 = {}, over_empty = {};
    };
    std::array<Kind, 3> kinds{{{"empty", "empty"}, {"inline", "64 KiB each way, inline"}, {"shared", "16 MiB shared"}}};
    for (unsigned i = 0; i < repetitions; ++i) {
        for (Kind& kind : kinds) {
            const auto round = soc.round(kind.mode, 1, 1, calls);
            if (!round) return std::unexpected(round.error());
            kind.p50.push_back(round->p50);
            kind.p99.push_back(round->p99);
            kind.over_empty.push_back(round->p50 / kinds[0].p50.back());
        }
    }
    for (const Kind& kind : kinds) {
        const auto p50 = bench::spread(kind.p50), ratio = bench::spread(kind.over_empty);
        std::printf("  %-26s p50 %7.2f us (%.2f-%.2f)   p99 %7.2f us   over empty %.2f (%.2f-%.2f)\n", kind.name,
                    p50.median, p50.least, p50.most, bench::spread(kind.p99).median, ratio.median, ratio.least,
                    ratio.most);
    }
    figures["empty_p50_us"] = bench::spread(kinds[0].p50).median;
    figures["inline_64k_p50_us"] = bench::spread(kinds[1].p50).median;
    figures["shared_16m_over_empty"] = bench::spread(kinds[2].over_empty).median;
    return {};
}

Status run(unsigned repetitions, unsigned calls, std::map<std::string, double>& figures) {
    const auto soc = Soc::start();
    if (!soc) return std::unexpected(soc.error());
    const bench::AwakeCpus awake;
    std::printf("one thread, %u rounds of %u calls, %u CPUs, %s\n", repetitions, calls,
                std::thread::hardware_concurrency(), awake.describe().c_str());
    if (const Status done = compare_kinds(**soc, repetitions, calls, figures); !done) return done;

    std::printf("empty calls of several threads\n  %7s   %24s   %24s\n", "threads", "one file, calls/s (p50 us)",
                "many files, calls/s (p50 us)");
    double one_thread = 0;
    for (const unsigned threads : {1U, 2U, 4U, 8U, 16U, 32U}) {
        const unsigned each = std::max(calls / threads, 100U);
        const auto one = median(**soc, repetitions, "empty", threads, 1, each);
        if (!one) return std::unexpected(one.error());
        const auto many = median(**soc, repetitions, "empty", threads, std::min(threads, most_files), each);
        if (!many) return std::unexpected(many.error());
        if (threads == 1) one_thread = one->rate;
        if (threads == 8) {
            figures["scaling_8_threads"] = one->rate / one_thread;
            figures["scaling_8_threads_many_files"] = many->rate / one_thread;
        }
        std::printf("  %7u   %14.0f (%7.2f)   %16.0f (%7.2f)\n", threads, one->rate, one->p50, many->rate, many->p50);
    }
    for (const auto& [key, value] : figures) std::printf("%-30s %.3f\n", key.c_str(), value);
    return {};
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("The virtual driver's own time", "bench vdsp");
    unsigned repetitions = 5, calls = 10000;
    std::string file;
    app.add_option("--repetitions", repetitions, "rounds of each kind")->check(CLI::Range(1, 1000));
    app.add_option("--calls", calls, "calls in a round")->check(CLI::Range(100, 1000000));
    app.add_option("--json", file, "write the figures to this file");
    CLI11_PARSE(app, argc, argv);
    std::map<std::string, double> figures;
    if (const Status done = run(repetitions, calls, figures); !done) {
        std::fprintf(stderr, "bench vdsp: %s\n", done.error().text.c_str());
        return 1;
    }
    if (!file.empty() && !bench::write_figures(file, "vdsp", figures)) {
        std::fprintf(stderr, "bench vdsp: cannot write %s\n", file.c_str());
        return 1;
    }
    return 0;
}
