// bench idle: what a system costs that nobody uses: wake-ups and memory of fastrpcd and of the hosts of static PDs.
//
// Memory is what is resident but for the pages of shared libraries that are as they are on disk, text and constants,
// which all programs of a machine share. Wake-ups are the context switches of all threads.
#include "tests/bench/figures.hpp"
#include "tests/stack/stack.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fmt/core.h>
#include <fstream>
#include <sstream>
#include <thread>

namespace {

using namespace fastrpc;
using namespace std::chrono_literals;

std::uint64_t switches(pid_t pid) {
    std::uint64_t sum = 0;
    for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
        std::ifstream status(task.path() / "status");
        for (std::string line; std::getline(status, line);)
            if (line.find("ctxt_switches:") != line.npos) sum += std::stoull(line.substr(line.find(':') + 1));
    }
    return sum;
}

std::uint64_t resident_kib(pid_t pid) {
    std::ifstream maps(fmt::format("/proc/{}/smaps", pid));
    std::uint64_t sum = 0;
    bool shared = false;
    for (std::string line; std::getline(maps, line);) {
        std::istringstream words(line);
        std::string first;
        std::uint64_t kib = 0;
        words >> first;
        if (first.find('-') != first.npos && !first.ends_with(':')) { // "from-to rights ..."
            shared = line.find(".so") != line.npos;
            continue;
        }
        const bool counts = shared ? first == "Private_Dirty:" || first == "Shared_Dirty:" : first == "Rss:";
        if (counts && words >> kib) sum += kib;
    }
    return sum;
}

/// Waits until nothing happens any more: the firmware of the PDs has started up.
bool settle(const std::vector<pid_t>& pids) {
    const auto sum = [&] {
        std::uint64_t all = 0;
        for (const pid_t pid : pids) all += switches(pid);
        return all;
    };
    for (int i = 0; i < 30; ++i) {
        const std::uint64_t before = sum();
        std::this_thread::sleep_for(2s);
        if (sum() == before) return true;
    }
    return false;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Wake-ups and memory of a system at rest", "bench idle");
    unsigned seconds = 60;
    std::string file;
    app.add_option("--seconds", seconds, "how long to look")->check(CLI::Range(1, 3600));
    app.add_option("--json", file, "write the figures to this file");
    CLI11_PARSE(app, argc, argv);
    const auto system = stack::Stack::start({.quiet = true, .static_pds = true});
    if (!system) {
        std::fprintf(stderr, "bench idle: %s\n", system.error().text.c_str());
        return 1;
    }
    std::vector<pid_t> pids = (*system)->hosts();
    pids.push_back((*system)->fastrpcd());
    if (!settle(pids)) std::puts("the system does not come to rest");
    const std::size_t logged = (*system)->log().size();

    std::vector<std::uint64_t> before;
    for (const pid_t pid : pids) before.push_back(switches(pid));
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    std::map<std::string, double> figures;
    double total = 0;
    for (std::size_t i = 0; i < pids.size(); ++i) {
        const bool is_host = i + 1 < pids.size();
        const auto woken = static_cast<double>(switches(pids[i]) - before[i]) * 60 / seconds;
        const auto kib = static_cast<double>(resident_kib(pids[i]));
        std::printf("%-12s %6.0f KiB   %g wake-ups a minute\n", is_host ? "fastrpc-pd" : "fastrpcd", kib, woken);
        double& figure = figures[is_host ? "host_rss_kib" : "fastrpcd_rss_kib"];
        figure = std::max(figure, kib);
        total += woken;
    }
    figures["wakeups_per_min"] = total;
    figures["log_bytes"] = static_cast<double>((*system)->log().size() - logged);
    for (const auto& [key, value] : figures) std::printf("%-30s %.3f\n", key.c_str(), value);
    if (!file.empty() && !bench::write_figures(file, "idle", figures)) {
        std::fprintf(stderr, "bench idle: cannot write %s\n", file.c_str());
        return 1;
    }
    return 0;
}
