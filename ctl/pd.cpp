#include "ctl/pd.hpp"

#include "ctl/names.hpp"

#include <fmt/core.h>
#include <thread>

namespace fastrpc::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto look_again = 50ms;

std::string path_of(const std::string& domain, const std::string& pd) {
    return fmt::format("/org/fastrpc1/domain/{}/pd/{}", domain, pd);
}

// A generation is counted by its host, and another host may have come.
bool is_new(const json& now, const json& before) {
    return now["pid"] != before["pid"] || now["generation"] > before["generation"];
}

bool reached(const std::string& verb, const json& now, const json& before) {
    if (verb == "stop") return now["state"] == "stopped";
    return now["state"] == "running" && (verb == "start" || is_new(now, before));
}

} // namespace

json pd_of(const std::string& path, const json& from) {
    return {{"domain", names::domain_of_pd(path)},
            {"pd", from.value("Kind", "")},
            {"static", from.value("Static", false)},
            {"state", from.value("State", "")},
            {"reason", from.value("Reason", "")},
            {"generation", from.value("Generation", std::uint64_t{0})},
            {"restarts", from.value("Restarts", 0U)},
            {"pid", from.value("Pid", 0U)},
            {"host-version", from.value("HostVersion", "")},
            {"node", from.value("Node", "")},
            {"opened-usec", from.value("OpenedUSec", std::uint64_t{0})},
            {"unit", from.value("Unit", "")},
            {"files-served", from.value("FilesServed", std::uint64_t{0})},
            {"bytes-served", from.value("BytesServed", std::uint64_t{0})},
            {"files-missing", from.value("FilesMissing", std::uint64_t{0})},
            {"last-missing", from.value("LastFileFailed", "")}};
}

Result<json> query_pds(BusClient& client) {
    const auto objects = client.objects();
    if (!objects) return objects;
    json pds = json::array();
    for (const auto& [path, interfaces] : objects->items())
        if (interfaces.contains(names::pd)) pds.push_back(pd_of(path, interfaces[names::pd]));
    return json{{"pds", pds}};
}

Result<json> query_pd(BusClient& client, const std::string& domain, const std::string& pd) {
    const auto all = query_pds(client);
    if (!all) return all;
    std::string known;
    for (const json& entry : (*all)["pds"]) {
        if (entry["domain"] == domain && entry["pd"] == pd) return entry;
        known += fmt::format("{}{} {}", known.empty() ? "" : ", ", entry["domain"].get<std::string>(),
                             entry["pd"].get<std::string>());
    }
    return fail(ErrorKind::not_found, fmt::format("there is no static PD \"{} {}\"; this machine has: {}", domain, pd,
                                                  known.empty() ? "none" : known));
}

Result<json> order_pd(BusClient& client, const std::string& verb, const std::string& domain, const std::string& pd,
                      std::chrono::seconds patience) {
    const auto before = query_pd(client, domain, pd);
    if (!before) return before;
    const char* method = verb == "start" ? "Start" : verb == "stop" ? "Stop" : "Restart";
    if (auto accepted = client.order(path_of(domain, pd), names::pd, method); !accepted) return accepted;
    const auto limit = Clock::now() + patience;
    for (;;) {
        auto now = query_pd(client, domain, pd);
        if (!now) return now;
        if (reached(verb, *now, *before)) return now;
        const std::string state = (*now)["state"], reason = (*now)["reason"];
        if (verb != "stop" && state == "failed")
            return fail(ErrorKind::lost, fmt::format("{} {} has failed: {}", domain, pd, reason));
        if (Clock::now() >= limit)
            return fail(ErrorKind::timeout,
                        fmt::format("{} {} is {} after {} s: {}", domain, pd, state, patience.count(), reason));
        std::this_thread::sleep_for(look_again);
    }
}

} // namespace fastrpc::ctl
