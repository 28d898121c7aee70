#include "tests/bench/footprint.hpp"

#include "tests/bench/session_hosts.hpp"

#include <fmt/core.h>
#include <fstream>
#include <sstream>

namespace fastrpc::bench {
namespace {

constexpr unsigned many = 32;

struct Growth {
    Footprint client_one, client_many, host_one, host_many;
};

Result<Growth> grow(const Contenders& contenders, const std::string& name) {
    auto contender = contenders.start(name);
    if (!contender) return std::unexpected(contender.error());
    Growth growth;
    for (const bool all : {false, true}) {
        // The threads end with their round; the lanes stay, for the next ones.
        const auto done = contender->round(all ? many : 1, headline(0).payload, 1000, 100);
        if (!done) return std::unexpected(done.error());
        const auto client = footprint(contender->pid());
        if (!client) return std::unexpected(client.error());
        (all ? growth.client_many : growth.client_one) = *client;
        if (name == direct) continue;
        const auto hosts = session_hosts();
        if (hosts.size() != 1)
            return fail(ErrorKind::system, fmt::format("{} hosts of sessions run, not one", hosts.size()));
        const auto served = footprint(hosts.front());
        if (!served) return std::unexpected(served.error());
        (all ? growth.host_many : growth.host_one) = *served;
    }
    return growth;
}

} // namespace

Result<Footprint> footprint(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
    Footprint sum;
    bool found = false;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        double kib = 0;
        words >> key >> kib;
        if (key == "Pss:") sum.share = kib, found = true;
        if (key == "Private_Clean:" || key == "Private_Dirty:") sum.own += kib;
    }
    if (!found) return fail(ErrorKind::system, fmt::format("no memory figures of process {}", pid));
    return sum;
}

Status measure_footprints(const Contenders& contenders, std::map<std::string, double>& figures) {
    const auto threads = grow(contenders, direct);
    if (!threads) return std::unexpected(threads.error());
    const double per_thread = (threads->client_many.own - threads->client_one.own) / (many - 1);
    fmt::print("\nMemory, KiB (Pss; private of each further lane, of {} lanes)\n", many);
    for (const std::string& name : contenders.names()) {
        if (!name.starts_with(through_fastrpcd)) continue;
        const auto growth = grow(contenders, name);
        if (!growth) return std::unexpected(growth.error());
        const double host = (growth->host_many.own - growth->host_one.own) / (many - 1);
        const double client = (growth->client_many.own - growth->client_one.own) / (many - 1) - per_thread;
        fmt::print("  {:16} host of a session {:8.0f} (private {:.0f})   lane: host {:7.1f}, client {:7.1f}\n", name,
                   growth->host_one.share, growth->host_one.own, host, client);
        const std::string kind = "_" + name.substr(std::string_view(through_fastrpcd).size());
        figures["session_host_pss_kib" + kind] = growth->host_one.share;
        figures["lane_host_kib" + kind] = host;
        figures["lane_client_kib" + kind] = client;
    }
    return {};
}

} // namespace fastrpc::bench
