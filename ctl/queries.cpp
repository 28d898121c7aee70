#include "ctl/queries.hpp"

#include "ctl/pd.hpp"

#include <charconv>
#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>

namespace fastrpc::ctl {
namespace {

const std::string root = "/org/fastrpc1";
const std::string prefix = "org.fastrpc1.";

// Null when the host does not answer: one silent host must not hide all others.
json usage(BusClient& client, const std::string& path, const std::string& interface) {
    const auto answer = client.call(path, prefix + interface, "GetUsage");
    return answer && !answer->empty() ? answer->at(0) : json();
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

json domain_entry(const json& from) {
    return {{"name", from.value("Name", "")},
            {"kind", from.value("Kind", "")},
            {"index", from.value("Index", 0U)},
            {"state", from.value("State", "")},
            {"generation", from.value("Generation", std::uint64_t{0})},
            {"backend", from.value("Backend", "")},
            {"profile", from.value("Profile", "")},
            {"nodes", from.value("Nodes", json::array())},
            {"sessions-used", from.value("SessionsUsed", 0U)},
            {"sessions-max", from.value("SessionsMax", 0U)},
            {"contexts-max", from.value("ContextsMax", 0U)},
            {"contexts-reserved", from.value("ContextsReserved", 0U)},
            {"contexts-granted", from.value("ContextsGranted", 0U)},
            {"contexts-lost", from.value("ContextsLost", 0U)},
            {"last-crash-usec", from.value("LastCrashUSec", std::uint64_t{0})},
            {"last-crash-reason", from.value("LastCrashReason", "")},
            {"unsigned", from.value("UnsignedSupported", false)},
            {"problems", from.value("Problems", json::array())}};
}

json pd_entry(BusClient& client, const std::string& path, const json& from) {
    json entry = pd_of(path, from);
    entry["usage"] = usage(client, path, "ProtectionDomain");
    return entry;
}

json session_entry(BusClient& client, const std::string& path, const json& from) {
    const auto label = client.property(path, prefix + "Session", "Label"); // not among the listed properties
    return {{"id", last_part(path)},
            {"domain", last_part(from.value("Domain", ""))},
            {"pd", from.value("Pd", "")},
            {"state", from.value("State", "")},
            {"uid", from.value("OwnerUid", 0U)},
            {"owner", from.value("OwnerName", "")},
            {"label", label ? *label : json("")},
            {"opened-usec", from.value("OpenedUSec", std::uint64_t{0})},
            {"pid", from.value("Pid", 0U)},
            {"rule", from.value("Rule", "")},
            {"generation", from.value("Generation", std::uint64_t{0})},
            {"limits", from.value("Limits", json::object())},
            {"usage", usage(client, path, "Session")}};
}

json queue_of(const json& requests) {
    json queue = json::array();
    for (const json& request : requests)
        queue.push_back({{"domain", request.at(0)},
                         {"uid", request.at(1)},
                         {"user", request.at(2)},
                         {"waited-ms", request.at(3)},
                         {"position", request.at(4)}});
    return queue;
}

json domains_of(const json& objects) {
    json domains = json::array();
    for (const auto& [path, interfaces] : objects.items())
        if (interfaces.contains(prefix + "Domain")) domains.push_back(domain_entry(interfaces[prefix + "Domain"]));
    return domains;
}

// What to do about a domain that is not as it should be, beside what its problems say themselves.
json hints_for(const json& domain) {
    json hints = json::array();
    const std::string name = domain["name"], state = domain["state"];
    if (state == "absent" || state == "offline")
        hints.push_back("look for the DSP's start in the kernel's log: journalctl -k -g 'remoteproc|fastrpc'");
    if (state == "failed" || state == "recovering")
        hints.push_back(fmt::format("the host's log says more: journalctl -u 'fastrpc-pd@{}-*'", name));
    if (domain["contexts-lost"] > 0)
        hints.push_back("lost contexts come back with a restart of the DSP: write stop, then start, to its state in "
                        "/sys/class/remoteproc");
    if (domain["sessions-max"] > 0 && domain["sessions-used"] >= domain["sessions-max"])
        hints.push_back("all hardware sessions are in use: fastrpcctl list shows by whom");
    return hints;
}

} // namespace

Result<json> query_domains(BusClient& client) {
    const auto objects = client.objects();
    if (!objects) return objects;
    return json{{"domains", domains_of(*objects)}};
}

Result<json> query_domain(BusClient& client, const std::string& name) {
    const auto objects = client.objects();
    if (!objects) return objects;
    json domain;
    std::string known;
    for (json& entry : domains_of(*objects)) {
        known += (known.empty() ? "" : ", ") + entry["name"].get<std::string>();
        if (entry["name"] == name) domain = std::move(entry);
    }
    if (domain.is_null())
        return fail(ErrorKind::not_found, fmt::format("there is no domain \"{}\"; this machine has: {}", name,
                                                      known.empty() ? "none" : known));
    const std::string path = root + "/domain/" + name;
    const auto capabilities = client.call(path, prefix + "Domain", "GetCapabilities");
    if (!capabilities) return capabilities;
    domain["capabilities"] = capabilities->empty() ? json::object() : capabilities->at(0);
    domain["pds"] = json::array();
    for (const auto& [place, interfaces] : objects->items())
        if (place.starts_with(path + "/pd/") && interfaces.contains(prefix + "ProtectionDomain"))
            domain["pds"].push_back(pd_entry(client, place, interfaces[prefix + "ProtectionDomain"]));
    domain["hints"] = hints_for(domain);
    return domain;
}

Result<json> query_list(BusClient& client) {
    const auto objects = client.objects();
    if (!objects) return objects;
    json list{{"domains", domains_of(*objects)}, {"pds", json::array()}, {"sessions", json::array()}};
    for (const auto& [path, interfaces] : objects->items()) {
        if (interfaces.contains(prefix + "ProtectionDomain"))
            list["pds"].push_back(pd_entry(client, path, interfaces[prefix + "ProtectionDomain"]));
        if (interfaces.contains(prefix + "Session"))
            list["sessions"].push_back(session_entry(client, path, interfaces[prefix + "Session"]));
    }
    const auto queue = client.call(root, prefix + "Manager", "ListQueue");
    if (!queue) return queue;
    list["queue"] = queue->empty() ? json::array() : queue_of(queue->at(0));
    auto totals = client.call(root, prefix + "Manager", "GetStats");
    if (!totals) return totals;
    list["totals"] = totals->empty() ? json::object() : totals->at(0);
    return list;
}

Result<json> query_status(BusClient& client) {
    json status{{"running", true}};
    for (const auto& [key, property] :
         {std::pair("version", "DaemonVersion"), std::pair("state", "State"),
          std::pair("policy-revision", "PolicyRevision"), std::pair("policy-problem", "PolicyProblem"),
          std::pair("features", "Features")}) {
        auto value = client.property(root, prefix + "Manager", property);
        if (!value) return value;
        status[key] = std::move(*value);
    }
    const auto objects = client.objects();
    if (!objects) return objects;
    status["domains"] = domains_of(*objects);
    return status;
}

Result<json> reload_policy(BusClient& client) {
    const auto answer = client.call(root, prefix + "Manager", "ReloadPolicy");
    if (!answer) return answer;
    if (answer->size() != 2)
        return fail(ErrorKind::protocol, "fastrpcd answers in a way that fastrpcctl does not understand");
    return json{{"policy-revision", answer->at(0)}, {"warnings", answer->at(1)}};
}

Result<json> query_explain(BusClient& client, const std::string& domain, const std::string& pd,
                           const Account* account) {
    const auto answer = client.explain(domain, pd, account);
    if (!answer) return answer;
    if (answer->size() != 4)
        return fail(ErrorKind::protocol, "fastrpcd explains in a way that fastrpcctl does not understand");
    json limits = answer->at(3);
    for (const char* key : {"file", "line", "fix"}) limits.erase(key);
    return json{{"uid", account == nullptr ? json() : json(account->uid)},
                {"domain", domain},
                {"pd", pd},
                {"allowed", answer->at(0)},
                {"rule", answer->at(1)},
                {"file", answer->at(3).value("file", "")},
                {"line", answer->at(3).value("line", 0U)},
                {"reason", answer->at(2)},
                {"fix", answer->at(3).value("fix", "")},
                {"limits", limits}};
}

Result<Account> find_account(const std::string& user) {
    std::uint32_t number = 0;
    const auto [end, parsed] = std::from_chars(user.data(), user.data() + user.size(), number);
    const bool numeric = parsed == std::errc() && end == user.data() + user.size();
    const passwd* entry = numeric ? ::getpwuid(number) : ::getpwnam(user.c_str());
    if (entry == nullptr) {
        if (numeric) return Account{.uid = number, .gids = {}}; // a uid without a name may still call
        return fail(ErrorKind::not_found, fmt::format("this machine has no user {}", user));
    }
    Account account{.uid = entry->pw_uid, .gids = {}};
    int count = 64;
    do account.gids.resize(static_cast<std::size_t>(count));
    while (::getgrouplist(entry->pw_name, entry->pw_gid, account.gids.data(), &count) < 0);
    account.gids.resize(static_cast<std::size_t>(count));
    return account;
}

} // namespace fastrpc::ctl
