// Doctor: what fastrpcd itself says, and whether this user may have what programs usually want.
#include "ctl/doctor.hpp"

#include "ctl/files.hpp"
#include "ctl/queries.hpp"

#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

std::uint64_t number(const json& from, const char* key) {
    return from.value(key, std::uint64_t{0});
}

void check_policy(BusClient& client, const json& status, Findings& findings) {
    if (const std::string problem = status.value("policy-problem", ""); !problem.empty())
        findings.push_back({"policy", "", Verdict::failed, "the last reload came to nothing: " + problem,
                            "mend the file, then: fastrpcctl policy reload"});
    for (const json& domain : status["domains"]) {
        const auto name = domain["name"].get<std::string>();
        for (const char* kind : {"unsigned", "signed"}) {
            if (std::string_view(kind) == "unsigned" && !domain["unsigned"].get<bool>()) continue;
            const auto answer = query_explain(client, {.domain = name, .pd = kind});
            const std::string subject = fmt::format("{} {}", name, kind);
            if (!answer)
                findings.push_back({"policy", subject, Verdict::failed, answer.error().text, "see the text"});
            else if ((*answer)["allowed"].get<bool>())
                findings.push_back({"policy", subject, Verdict::ok,
                                    fmt::format("you may, by rule \"{}\"", (*answer)["rule"].get<std::string>())});
            else if ((*answer)["ask"].get<bool>())
                findings.push_back({"policy", subject, Verdict::ok, "polkit will be asked for you"});
            else // signed PDs are for few: not having them is no fault
                findings.push_back(
                    {"policy", subject, std::string_view(kind) == "signed" ? Verdict::ok : Verdict::warning,
                     "you may not: " + (*answer)["reason"].get<std::string>(), (*answer)["fix"].get<std::string>()});
        }
    }
}

void check_domain(const json& domain, Findings& findings) {
    const auto name = domain["name"].get<std::string>(), state = domain["state"].get<std::string>();
    const bool well = state == "online" || state == "starting";
    if (well)
        findings.push_back({"domain", name, Verdict::ok, state});
    else
        findings.push_back(
            {"domain", name, Verdict::failed, "it is " + state, fmt::format("fastrpcctl domain status {}", name)});
    for (const json& problem : domain["problems"])
        findings.push_back({"domain", name, Verdict::failed, problem.get<std::string>(),
                            fmt::format("fastrpcctl domain status {}", name)});
    const auto used = number(domain, "sessions-used"), most = number(domain, "sessions-max");
    if (most > 0 && used >= most)
        findings.push_back({"slots", name, Verdict::warning, fmt::format("all {} sessions of the DSP are in use", most),
                            "fastrpcctl session list shows by whom; fastrpcctl run waits for a place"});
    else
        findings.push_back({"slots", name, Verdict::ok, fmt::format("{} of {} sessions are in use", used, most)});
    const auto lost = number(domain, "contexts-lost"), granted = number(domain, "contexts-granted");
    const auto all =
        number(domain, "contexts-max") - std::min(number(domain, "contexts-max"), number(domain, "contexts-reserved"));
    const std::string contexts = fmt::format("{} of {} call contexts are granted, {} are lost", granted, all, lost);
    if (lost > 0)
        findings.push_back({"contexts", name, Verdict::warning, contexts,
                            "a restart of the DSP gives them back: write stop, then start, to its state in "
                            "/sys/class/remoteproc"});
    else
        findings.push_back({"contexts", name, Verdict::ok, contexts});
}

void check_pd(const json& pd, Findings& findings) {
    const std::string subject = pd["domain"].get<std::string>() + '/' + pd["pd"].get<std::string>();
    const auto state = pd["state"].get<std::string>(), reason = pd["reason"].get<std::string>();
    const std::string text = reason.empty() ? state : fmt::format("{}: {}", state, reason);
    if (state == "running")
        findings.push_back({"pd", subject, Verdict::ok, text});
    else
        findings.push_back({"pd", subject, state == "failed" ? Verdict::failed : Verdict::warning, text,
                            state == "stopped"
                                ? fmt::format("fastrpcctl pd start {} {}", pd["domain"].get<std::string>(),
                                              pd["pd"].get<std::string>())
                                : fmt::format("journalctl -u '{}'", pd["unit"].get<std::string>())});
}

// A DSP asks for many files that may be missing; the names say whether one of them matters.
void check_files(BusClient& client, Findings& findings) {
    constexpr std::size_t shown = 5;
    const auto missing = FileReader(true, "").read(client);
    if (!missing) {
        findings.push_back({"files", "", Verdict::failed, missing.error().text, "fastrpcctl files --missing"});
        return;
    }
    std::string names;
    const json& files = (*missing)["files"];
    for (std::size_t i = 0; i < std::min(shown, files.size()); ++i)
        names += (i == 0 ? "" : ", ") + files[i]["name"].get<std::string>();
    if (files.empty())
        findings.push_back({"files", "", Verdict::ok, "DSPs got every file that they asked for"});
    else
        findings.push_back({"files", "", Verdict::warning,
                            fmt::format("DSPs asked for {} files in vain: {}{}", files.size(), names,
                                        files.size() > shown ? ", ..." : ""),
                            "fastrpcctl files --missing shows where each was looked for"});
}

} // namespace

void check_fastrpcd(Findings& findings) {
    auto client = BusClient::connect();
    const Result<json> status = client ? query_status(*client) : Result<json>(std::unexpected(client.error()));
    if (!status) {
        findings.push_back({"fastrpcd", "", Verdict::failed, status.error().text,
                            client
                                ? "systemctl start fastrpcd, and journalctl -u fastrpcd"
                                : "systemctl start dbus fastrpcd; in a container: bind /run/dbus/system_bus_socket"});
        return;
    }
    findings.push_back({"fastrpcd", "", Verdict::ok,
                        fmt::format("version {} is {}", (*status)["version"].get<std::string>(),
                                    (*status)["state"].get<std::string>())});
    if ((*status)["domains"].empty())
        findings.push_back({"domain", "", Verdict::failed, "fastrpcd sees no DSP", "see driver and node above"});
    check_policy(*client, *status, findings);
    for (const json& domain : (*status)["domains"]) check_domain(domain, findings);
    for (const json& pd : (*status)["pds"]) check_pd(pd, findings);
    check_files(*client, findings);
}

} // namespace fastrpc::ctl
