// Doctor: programs that did fastrpcd's work before. Each takes a session of its DSP and answers reverse calls that
// hosts should answer.
#include "ctl/doctor.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

constexpr std::array<std::string_view, 6> programs{"adsprpcd", "audioadsprpcd", "cdsprpcd",
                                                   "sdsprpcd", "gdsprpcd",      "hexagonrpcd"};
// A process shows 15 characters of its name; units have words behind it, e.g. "hexagonrpcd-adsp-rootpd.service".
bool is_one(std::string_view name) {
    return std::ranges::any_of(programs, [&](std::string_view program) {
        return name == program ||
               (name.starts_with(program) && !std::isalnum(static_cast<unsigned char>(name[program.size()])));
    });
}

} // namespace

void check_conflicts(const discovery::Roots& roots, Findings& findings) {
    const std::size_t before = findings.size();
    std::error_code ignored; // without /proc nothing is known to run
    for (const auto& entry : std::filesystem::directory_iterator(roots.path("/proc"), ignored)) {
        const std::string pid = entry.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string name = discovery::read_text(roots.path("/proc/") + pid + "/comm");
        if (is_one(name))
            findings.push_back({"conflict", name, Verdict::failed,
                                fmt::format("{} runs (pid {}) and serves a DSP beside fastrpcd", name, pid),
                                fmt::format("systemctl disable --now '{}*'", name)});
    }
    for (const char* directory : {"/etc/systemd/system", "/run/systemd/system"})
        for (const std::string& wants : discovery::list_names(roots.path(directory), "")) {
            if (!wants.ends_with(".wants")) continue;
            for (const std::string& unit :
                 discovery::list_names(fmt::format("{}/{}", roots.path(directory), wants), ""))
                if (unit.ends_with(".service") && is_one(unit))
                    findings.push_back({"conflict", unit, Verdict::warning,
                                        fmt::format("{} is enabled and will start with the machine", unit),
                                        fmt::format("systemctl disable --now {}", unit)});
        }
    if (findings.size() == before)
        findings.push_back({"conflict", "", Verdict::ok, "no other program serves the DSPs"});
}

} // namespace fastrpc::ctl
