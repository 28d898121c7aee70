#include "ctl/doctor.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::ctl {

std::string_view to_string(Verdict verdict) noexcept {
    switch (verdict) {
    case Verdict::ok:
        return "ok";
    case Verdict::warning:
        return "warning";
    case Verdict::failed:
        return "failed";
    }
    return "failed";
}

json doctor_report(const Findings& findings) {
    const auto count = [&](Verdict verdict) { return std::ranges::count(findings, verdict, &Finding::verdict); };
    json report{{"findings", json::array()},
                {"ok", count(Verdict::ok)},
                {"warnings", count(Verdict::warning)},
                {"failed", count(Verdict::failed)}};
    for (const Finding& finding : findings)
        report["findings"].push_back({{"check", finding.check},
                                      {"subject", finding.subject},
                                      {"verdict", to_string(finding.verdict)},
                                      {"text", finding.text},
                                      {"fix", finding.fix}});
    return report;
}

std::string doctor_text(const json& report, const Style& style) {
    std::string text;
    for (const json& finding : report["findings"]) {
        const std::string verdict = word(finding["verdict"]);
        std::string whose = word(finding["check"]);
        if (!finding["subject"].get<std::string>().empty()) whose += ' ' + word(finding["subject"]);
        text +=
            fmt::format("{}{}  {}: {}\n", paint(verdict, style),
                        std::string(7 - std::min<std::size_t>(7, verdict.size()), ' '), whose, word(finding["text"]));
        if (verdict != "ok" && !finding["fix"].get<std::string>().empty())
            text += fmt::format("         to do: {}\n", word(finding["fix"]));
    }
    return text + fmt::format("{} ok, {} warnings, {} failed\n", word(report["ok"]), word(report["warnings"]),
                              word(report["failed"]));
}

} // namespace fastrpc::ctl
