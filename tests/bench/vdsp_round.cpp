// A round of bench vdsp: threads that call a module through open device files, as the ioctls alone, and nothing else.
//
// Prints "p50 p99 calls_per_second" of the calls of all threads.
#include "tests/bench/figures.hpp"
#include "tests/bench/own_pd.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::size_t inline_bytes = 64U << 10;
constexpr std::size_t shared_bytes = 16U << 20;

[[noreturn]] void give_up(const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    std::_Exit(1);
}

/// The calls of one thread.
class Caller {
public:
    Caller(bench::OwnPd& pd, const std::string& mode) : pd_(pd) {
        if (mode == "empty") {
            arguments_ = {};
        } else if (mode == "inline") {
            memory_.resize(2 * inline_bytes);
            arguments_ = {Argument{memory_.data(), inline_bytes},
                          Argument{memory_.data() + inline_bytes, inline_bytes}};
        } else { // the module reads 4 bytes of it, so that what is measured is the way there
            auto memory = bench::SharedMemory::make(shared_bytes);
            if (!memory) give_up(memory.error().text);
            shared_.emplace(std::move(*memory));
            const auto id = pd.know(*shared_);
            if (!id) give_up(id.error().text);
            std::memset(shared_->bytes().data(), 0, 4);
            arguments_ = {Argument{nullptr, shared_bytes, *id}, Argument{}};
            scalars_ = 0x05010100;
        }
    }
    void call() {
        if (const CallResult done = pd_.call(scalars_, arguments_); !done.ok())
            give_up("a call failed: " + done.text());
    }

private:
    bench::OwnPd& pd_;
    std::vector<std::byte> memory_;
    std::optional<bench::SharedMemory> shared_;
    std::uint32_t scalars_ = 0x02010100; // echo
    std::array<Argument, 2> arguments_{};
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("A round of bench vdsp", "vdsp-round");
    std::string modules, shell, mode = "empty";
    unsigned calls = 1000, threads = 1, files = 1;
    app.add_option("--module-dir", modules)->required();
    app.add_option("--shell", shell)->required();
    app.add_option("--mode", mode)->check(CLI::IsMember({"empty", "inline", "shared"}));
    app.add_option("--calls", calls, "of each thread");
    app.add_option("--threads", threads)->check(CLI::Range(1, 64));
    app.add_option("--files", files, "open files, each with a PD")->check(CLI::Range(1, 12));
    CLI11_PARSE(app, argc, argv);

    std::vector<std::unique_ptr<bench::OwnPd>> pds;
    for (unsigned i = 0; i < files; ++i) {
        auto pd = bench::OwnPd::start(modules, shell);
        if (!pd) give_up(pd.error().text);
        pds.push_back(std::move(*pd));
    }

    using Clock = std::chrono::steady_clock;
    std::vector<std::vector<double>> times(threads);
    Clock::time_point start;
    std::barrier begin(threads, [&start]() noexcept { start = Clock::now(); });
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            Caller caller(*pds[t % files], mode);
            times[t].reserve(calls);
            for (unsigned i = 0; i < calls / 10 + 1; ++i) caller.call();
            begin.arrive_and_wait();
            for (unsigned i = 0; i < calls; ++i) {
                const auto before = Clock::now();
                caller.call();
                times[t].push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
            }
        });
    }
    for (std::thread& worker : workers) worker.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::vector<double> together;
    for (const auto& one : times) together.insert(together.end(), one.begin(), one.end());
    const double p50 = bench::percentile(together, 50);
    std::printf("%.3f %.3f %.1f\n", p50, bench::percentile(together, 99), threads * calls / seconds);
    return 0;
}
