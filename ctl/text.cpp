#include "ctl/text.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

namespace fastrpc::ctl {
namespace {

using nlohmann::json;

std::string section(const json& entries, const Style& style, Row head, std::initializer_list<const char*> keys,
                    const char* none) {
    std::vector<Row> rows{std::move(head)};
    for (const json& entry : entries) rows.push_back(row(entry, keys, style));
    return rows.size() == 1 ? fmt::format("{}\n", none) : table(rows, style);
}

std::string figures(const json& usage) {
    if (!usage.is_object()) return "its host did not answer";
    const auto number = [&](const char* key) { return usage.value(key, std::uint64_t{0}); };
    std::string text =
        fmt::format("calls {}, bytes {}, files loaded {}", number("calls"), number("bytes"), number("files-served"));
    if (usage.contains("p50-us")) text += fmt::format(", p50 {} us, p99 {} us", number("p50-us"), number("p99-us"));
    if (number("files-missing") > 0) {
        text += fmt::format(", files missing {}", number("files-missing"));
        const std::string last = usage.value("last-missing", "");
        if (!last.empty()) text += fmt::format(" (last: {})", printable(last));
    }
    return text;
}

// When a PD came to run; what does not run has no such time.
std::string since(const json& pd) {
    return pd.value("state", "") == "running" ? date_of(pd.value("opened-usec", std::uint64_t{0})) : "-";
}

// How long ago, e.g. "5min 3s".
std::string ago(const json& usec) {
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    const auto then = usec.get<std::uint64_t>() / 1'000'000;
    const auto seconds = static_cast<std::uint64_t>(now.count());
    return then == 0 ? "-" : span(seconds > then ? seconds - then : 0);
}

// Granted and lost together, of what sessions may have at all.
std::string contexts(const json& domain) {
    const auto number = [&](const char* key) { return domain.value(key, std::uint64_t{0}); };
    return fmt::format("{}/{}", number("contexts-granted") + number("contexts-lost"),
                       number("contexts-max") - std::min(number("contexts-max"), number("contexts-reserved")));
}

std::string sessions(const json& domain) {
    return fmt::format("{}/{}", word(domain["sessions-used"]), word(domain["sessions-max"]));
}

} // namespace

std::string list_text(const json& list, const Style& style) {
    std::string text = section(list["domains"], style, {"DOMAIN", "STATE", "GENERATION", "SESSIONS", "UNSIGNED"},
                               {"name", "state", "generation", "sessions-used", "unsigned"},
                               "no DSP was found, and no host has reported");
    for (const json& domain : list["domains"])
        for (const json& problem : domain["problems"])
            text += fmt::format("  {}: {}\n", word(domain["name"]), word(problem));
    text += '\n' + section(list["pds"], style, {"DOMAIN", "PD", "STATE", "GENERATION", "RESTARTS", "PID", "NODE"},
                           {"domain", "pd", "state", "generation", "restarts", "pid", "node"}, "no static PD");
    text +=
        '\n' + section(list["sessions"], style, {"SESSION", "DOMAIN", "PD", "STATE", "OWNER", "PID", "RULE", "LABEL"},
                       {"id", "domain", "pd", "state", "owner", "pid", "rule", "label"}, "no session");
    text += '\n' + section(list["queue"], style, {"DOMAIN", "POSITION", "USER", "WAITED (ms)"},
                           {"domain", "position", "user", "waited-ms"}, "nobody waits for a DSP");
    text += '\n';
    for (const json& pd : list["pds"])
        text += fmt::format("{} {}: {}\n", word(pd["domain"]), word(pd["pd"]), figures(pd["usage"]));
    for (const json& session : list["sessions"])
        text += fmt::format("session {}: {}\n", word(session["id"]), figures(session["usage"]));
    const json& totals = list["totals"];
    text += fmt::format("total: {}, sessions opened {}, refused {}\n", figures(totals),
                        totals.value("sessions-opened", std::uint64_t{0}),
                        totals.value("sessions-refused", std::uint64_t{0}));
    return text;
}

std::string status_text(const json& status, const Style& style) {
    if (!status["running"].get<bool>()) return fmt::format("fastrpcd is {}\n", paint("stopped", style));
    std::string text = fmt::format("fastrpcd {} is {}, policy revision {:016x}\n", word(status["version"]),
                                   paint(word(status["state"]), style), status["policy-revision"].get<std::uint64_t>());
    if (const std::string problem = status.value("policy-problem", ""); !problem.empty())
        text += "the last reload of the policy came to nothing: " + printable(problem) + "\n";
    for (const json& domain : status["domains"]) {
        text += fmt::format("{}: {}, generation {}, sessions {}, contexts {}\n", word(domain["name"]),
                            paint(word(domain["state"]), style), word(domain["generation"]), sessions(domain),
                            contexts(domain));
        for (const json& problem : domain["problems"]) text += fmt::format("    problem: {}\n", word(problem));
        for (const json& pd : status["pds"])
            if (pd["domain"] == domain["name"])
                text += fmt::format("    {}: {} since {} ({})\n", word(pd["pd"]), paint(word(pd["state"]), style),
                                    since(pd), word(pd["reason"]));
    }
    if (status["domains"].empty()) text += "no DSP was found, and no host has reported\n";
    return text + fmt::format("sessions: {}\n", word(status["sessions"]));
}

std::string reload_text(const json& answer, const Style&) {
    std::string text;
    for (const json& warning : answer["warnings"]) text += "warning: " + word(warning) + "\n";
    return text + fmt::format("policy revision {:016x} is in force\n", answer["policy-revision"].get<std::uint64_t>());
}

std::string pds_text(const json& answer, const Style& style) {
    std::vector<Row> rows{{"DOMAIN", "PD", "STATE", "GENERATION", "RESTARTS", "PID", "SINCE", "NODE", "REASON"}};
    for (const json& pd : answer["pds"])
        rows.push_back({word(pd["domain"]), word(pd["pd"]), paint(word(pd["state"]), style), word(pd["generation"]),
                        word(pd["restarts"]), word(pd["pid"]), since(pd), word(pd["node"]), word(pd["reason"])});
    return rows.size() == 1 ? "no static PD\n" : table(rows, style);
}

std::string pd_line(const json& pd, const Style& style) {
    return fmt::format("{} {}: {}, generation {}, restarts {}\n", word(pd["domain"]), word(pd["pd"]),
                       paint(word(pd["state"]), style), word(pd["generation"]), word(pd["restarts"]));
}

std::string pd_text(const json& pd, const Style& style) {
    std::string text = pd_line(pd, style);
    for (const auto& [label, key] :
         {std::pair("reason:", "reason"), std::pair("node:", "node"), std::pair("pid:", "pid"),
          std::pair("unit:", "unit"), std::pair("served:", "files-served"), std::pair("bytes:", "bytes-served"),
          std::pair("missing:", "files-missing"), std::pair("last:", "last-missing")})
        text += fmt::format("{:<9}{}\n", label, word(pd[key]));
    text += fmt::format("{:<9}{}\n", "since:", since(pd));
    if (pd.value("files-missing", std::uint64_t{0}) > 0)
        text += fmt::format("hint: fastrpcctl files --missing --domain {} shows where each was looked for\n",
                            word(pd["domain"]));
    return text;
}

std::string domains_text(const json& answer, const Style& style) {
    std::vector<Row> rows{{"DOMAIN", "STATE", "GENERATION", "BACKEND", "PROFILE", "SESSIONS", "CONTEXTS", "PROBLEMS"}};
    for (const json& domain : answer["domains"])
        rows.push_back({word(domain["name"]), paint(word(domain["state"]), style), word(domain["generation"]),
                        word(domain["backend"]), word(domain["profile"]), sessions(domain), contexts(domain),
                        std::to_string(domain["problems"].size())});
    return rows.size() == 1 ? "no DSP was found on this machine\n" : table(rows, style);
}

std::string domain_text(const json& domain, const Style& style) {
    std::string text = fmt::format("{}: {}, generation {}\n", word(domain["name"]), paint(word(domain["state"]), style),
                                   word(domain["generation"]));
    text += fmt::format("backend:      {}\nprofile:      {}\n", word(domain["backend"]), word(domain["profile"]));
    text += fmt::format("sessions:     {} used\n", sessions(domain));
    text += fmt::format("contexts:     {} used ({} granted, {} lost); {} of {} are kept for static PDs and listeners\n",
                        contexts(domain), word(domain["contexts-granted"]), word(domain["contexts-lost"]),
                        word(domain["contexts-reserved"]), word(domain["contexts-max"]));
    for (const json& node : domain["nodes"]) text += fmt::format("node:         {}\n", word(node));
    if (domain["last-crash-usec"] != 0) text += fmt::format("last restart: {}\n", word(domain["last-crash-reason"]));
    if (!domain["capabilities"].empty()) {
        text += "capabilities:";
        for (const auto& [name, value] : domain["capabilities"].items())
            text += name == "architecture" ? fmt::format(" {}={:#x}", name, value.get<std::uint32_t>())
                                           : fmt::format(" {}={}", printable(name), word(value));
        text += '\n';
    }
    for (const json& pd : domain["pds"])
        text += fmt::format("PD {}: {}, {}; {}\n", word(pd["pd"]), paint(word(pd["state"]), style), word(pd["reason"]),
                            figures(pd["usage"]));
    for (const json& problem : domain["problems"]) text += fmt::format("problem: {}\n", word(problem));
    for (const json& hint : domain["hints"]) text += fmt::format("hint: {}\n", word(hint));
    return text;
}

std::string sessions_text(const json& answer, const Style& style) {
    std::vector<Row> rows{{"SESSION", "DOMAIN", "PD", "STATE", "OWNER", "PID", "OPEN", "RULE", "LABEL"}};
    for (const json& session : answer["sessions"])
        rows.push_back({word(session["id"]), word(session["domain"]), word(session["pd"]),
                        paint(word(session["state"]), style), word(session["owner"]), word(session["pid"]),
                        ago(session["opened-usec"]), word(session["rule"]), word(session["label"])});
    return rows.size() == 1 ? "no session\n" : table(rows, style);
}

std::string session_text(const json& session, const Style& style) {
    std::string text = fmt::format("session {}: {}, {} PD on {}, generation {}\n", word(session["id"]),
                                   paint(word(session["state"]), style), word(session["pd"]), word(session["domain"]),
                                   word(session["generation"]));
    text += fmt::format("owner:   {} (uid {})\nlabel:   {}\npid:     {}, the host's\n", word(session["owner"]),
                        word(session["uid"]), word(session["label"]), word(session["pid"]));
    text += fmt::format("opened:  {}, {} ago\n", date_of(session["opened-usec"]), ago(session["opened-usec"]));
    text += fmt::format("rule:    {}, of policy revision {:016x}\n", word(session["rule"]),
                        session["policy-revision"].get<std::uint64_t>());
    text += "limits: ";
    for (const auto& [key, value] : session["limits"].items())
        text += fmt::format(" {}={}", printable(key), word(value));
    return text + fmt::format("\nusage:   {}\n", figures(session["usage"]));
}

std::string explain_text(const json& answer, const Style& style) {
    std::string text = paint(answer["allowed"].get<bool>() ? "ALLOWED"
                             : answer.value("ask", false)  ? "ASKED"
                                                           : "DENIED",
                             style);
    text += fmt::format("  {} on {}", word(answer["pd"]), word(answer["domain"]));
    if (!answer["uid"].is_null()) text += fmt::format(" for uid {}", word(answer["uid"]));
    text += '\n';
    if (const std::string rule = answer.value("rule", ""); !rule.empty())
        text += fmt::format("rule:   {} ({}:{})\n", word(rule), word(answer["file"]), word(answer["line"]));
    text += fmt::format("reason: {}\n", word(answer["reason"]));
    if (const std::string fix = answer.value("fix", ""); !fix.empty()) text += fmt::format("fix:    {}\n", word(fix));
    if (!answer["limits"].empty()) {
        text += "limits:";
        for (const auto& [key, value] : answer["limits"].items()) text += fmt::format(" {}={}", key, word(value));
        text += '\n';
    }
    for (const json& near : answer.value("near", json::array())) text += fmt::format("near:   {}\n", word(near));
    if (const std::string change = answer.value("change", ""); !change.empty()) {
        text += fmt::format("to allow it, {}:\n", word(answer["change-file"]));
        std::istringstream lines(change);
        for (std::string line; std::getline(lines, line);) text += "    " + printable(line) + '\n';
    }
    return text;
}

} // namespace fastrpc::ctl
