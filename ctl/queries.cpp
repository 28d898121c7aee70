#include "ctl/queries.hpp"

#include "ctl/names.hpp"
#include "ctl/pd.hpp"

#include <charconv>
#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>

namespace fastrpc::ctl {
namespace {

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

// Sessions and PDs, first what the bus lists of them, then what only a question to each tells.
void ask_hosts(BusClient& client, std::vector<json*> entries, const std::vector<Question>& questions, const char* key) {
    const auto answers = client.ask(questions);
    for (std::size_t i = 0; i < entries.size(); ++i) (*entries[i])[key] = answers ? (*answers)[i] : json();
}

json session_entry(const std::string& path, const json& from) {
    return {{"id", names::last_part(path)},
            {"domain", names::last_part(from.value("Domain", ""))},
            {"pd", from.value("Pd", "")},
            {"state", from.value("State", "")},
            {"uid", from.value("OwnerUid", 0U)},
            {"owner", from.value("OwnerName", "")},
            {"opened-usec", from.value("OpenedUSec", std::uint64_t{0})},
            {"pid", from.value("Pid", 0U)},
            {"host-version", from.value("HostVersion", "")},
            {"rule", from.value("Rule", "")},
            {"policy-revision", from.value("PolicyRevision", std::uint64_t{0})},
            {"generation", from.value("Generation", std::uint64_t{0})},
            {"limits", from.value("Limits", json::object())}};
}

// Each with its label, which is not among the listed properties, and its usage if `usage`.
json sessions_of(BusClient& client, const json& objects, bool usage) {
    json sessions = json::array();
    std::vector<Question> labels, usages;
    for (const auto& [path, interfaces] : objects.items()) {
        if (!interfaces.contains(names::session)) continue;
        sessions.push_back(session_entry(path, interfaces[names::session]));
        labels.push_back({path, names::session, "Label", true});
        usages.push_back({path, names::session, "GetUsage"});
    }
    std::vector<json*> entries;
    for (json& session : sessions) entries.push_back(&session);
    ask_hosts(client, entries, labels, "label");
    for (json& session : sessions)
        if (!session["label"].is_string()) session["label"] = ""; // it went while we asked
    if (usage) ask_hosts(client, entries, usages, "usage");
    return sessions;
}

json pds_with_usage(BusClient& client, const json& objects, const std::string& below) {
    json pds = json::array();
    std::vector<Question> usages;
    for (const auto& [path, interfaces] : objects.items()) {
        if (!interfaces.contains(names::pd) || !path.starts_with(below)) continue;
        pds.push_back(pd_of(path, interfaces[names::pd]));
        usages.push_back({path, names::pd, "GetUsage"});
    }
    std::vector<json*> entries;
    for (json& pd : pds) entries.push_back(&pd);
    ask_hosts(client, entries, usages, "usage");
    return pds;
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
        if (interfaces.contains(names::domain)) domains.push_back(domain_entry(interfaces[names::domain]));
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
    const std::string path = names::root + "/domain/" + name;
    const auto capabilities = client.call(path, names::domain, "GetCapabilities");
    if (!capabilities) return capabilities;
    domain["capabilities"] = capabilities->empty() ? json::object() : capabilities->at(0);
    domain["pds"] = pds_with_usage(client, *objects, path + "/pd/");
    domain["hints"] = hints_for(domain);
    return domain;
}

Result<json> query_list(BusClient& client) {
    const auto objects = client.objects();
    if (!objects) return objects;
    json list{{"domains", domains_of(*objects)},
              {"pds", pds_with_usage(client, *objects, "/")},
              {"sessions", sessions_of(client, *objects, true)}};
    const auto queue = client.call(names::root, names::manager, "ListQueue");
    if (!queue) return queue;
    list["queue"] = queue->empty() ? json::array() : queue_of(queue->at(0));
    auto totals = client.call(names::root, names::manager, "GetStats");
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
        auto value = client.property(names::root, names::manager, property);
        if (!value) return value;
        status[key] = std::move(*value);
    }
    const auto objects = client.objects();
    if (!objects) return objects;
    status["domains"] = domains_of(*objects);
    status["pds"] = json::array();
    std::uint64_t sessions = 0;
    for (const auto& [path, interfaces] : objects->items()) {
        if (interfaces.contains(names::pd)) status["pds"].push_back(pd_of(path, interfaces[names::pd]));
        if (interfaces.contains(names::session)) ++sessions;
    }
    status["sessions"] = sessions;
    return status;
}

Result<json> query_sessions(BusClient& client, bool usage) {
    const auto objects = client.objects();
    if (!objects) return objects;
    return json{{"sessions", sessions_of(client, *objects, usage)}};
}

Result<json> query_session(BusClient& client, const std::string& id) {
    auto all = query_sessions(client, true);
    if (!all) return all;
    for (json& session : (*all)["sessions"])
        if (session["id"] == id) return session;
    return fail(
        ErrorKind::not_found,
        fmt::format("there is no session \"{}\" that you may see: fastrpcctl session list shows which there are", id));
}

Status terminate_session(BusClient& client, const std::string& id) {
    const auto known = query_session(client, id);
    if (!known && known.error().kind != ErrorKind::not_found) return std::unexpected(known.error());
    // One of somebody else's is not seen; polkit may let it be ended all the same.
    const auto closed = client.order(names::root, names::manager, "TerminateSession", {names::root + "/session/" + id});
    if (closed) return {};
    return std::unexpected(known || closed.error().kind == ErrorKind::denied ? closed.error() : known.error());
}

Result<json> reload_policy(BusClient& client) {
    const auto answer = client.order(names::root, names::manager, "ReloadPolicy");
    if (!answer) return answer;
    if (answer->size() != 2)
        return fail(ErrorKind::protocol, "fastrpcd answers in a way that fastrpcctl does not understand");
    return json{{"policy-revision", answer->at(0)}, {"warnings", answer->at(1)}};
}

Result<json> query_explain(BusClient& client, const Request& request) {
    const auto answer = client.explain(request);
    if (!answer) return answer;
    if (answer->size() != 4)
        return fail(ErrorKind::protocol, "fastrpcd explains in a way that fastrpcctl does not understand");
    json limits = answer->at(3);
    for (const char* key : {"file", "line", "fix", "ask", "near", "near-count", "change-file", "change"})
        limits.erase(key);
    return json{{"uid", request.account == nullptr ? json() : json(request.account->uid)},
                {"domain", request.domain},
                {"pd", request.pd},
                {"allowed", answer->at(0)},
                {"rule", answer->at(1)},
                {"file", answer->at(3).value("file", "")},
                {"line", answer->at(3).value("line", 0U)},
                {"reason", answer->at(2)},
                {"fix", answer->at(3).value("fix", "")},
                {"ask", answer->at(3).value("ask", false)},
                {"near", answer->at(3).value("near", json::array())},
                {"near-count", answer->at(3).value("near-count", 0U)},
                {"change-file", answer->at(3).value("change-file", "")},
                {"change", answer->at(3).value("change", "")},
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
