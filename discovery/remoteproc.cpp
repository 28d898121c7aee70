#include "discovery/remoteproc.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <utility>

namespace fastrpc::discovery {
namespace {

// The longer word first: "cdsp" is in "cdsp1" too. The secure processor, "spss", is not taken for a sensors DSP.
constexpr std::array<std::pair<std::string_view, Domain>, 13> words{{{"cdsp1", Domain::cdsp1},
                                                                     {"gdsp0", Domain::gdsp0},
                                                                     {"gpdsp0", Domain::gdsp0},
                                                                     {"gdsp1", Domain::gdsp1},
                                                                     {"gpdsp1", Domain::gdsp1},
                                                                     {"cdsp", Domain::cdsp},
                                                                     {"adsp", Domain::adsp},
                                                                     {"slpi", Domain::sdsp},
                                                                     {"sdsp", Domain::sdsp},
                                                                     {"mpss", Domain::mdsp},
                                                                     {"modem", Domain::mdsp},
                                                                     {"mdsp", Domain::mdsp},
                                                                     {"mss", Domain::mdsp}}};

std::optional<Domain> spoken_of(std::string_view text) {
    for (const auto& [word, domain] : words)
        if (text.find(word) != std::string_view::npos) return domain;
    return std::nullopt;
}

// Where the kernel looks, compressed files included.
bool firmware_exists(const Roots& roots, const std::string& firmware) {
    std::vector<std::string> directories{"/lib/firmware/updates", "/lib/firmware"};
    const std::string extra = read_text(roots.sys() + "/module/firmware_class/parameters/path");
    if (extra.starts_with('/')) directories.insert(directories.begin(), extra);
    for (const std::string& directory : directories)
        for (const char* suffix : {"", ".zst", ".xz"})
            if (exists(roots.path(directory) + "/" + firmware + suffix)) return true;
    return false;
}

} // namespace

std::optional<Domain> domain_of_remoteproc(std::string_view name, std::string_view firmware) {
    if (const auto domain = spoken_of(name)) return domain;
    const std::size_t slash = firmware.rfind('/');
    return spoken_of(slash == std::string_view::npos ? firmware : firmware.substr(slash + 1));
}

std::vector<Remoteproc> read_remoteprocs(const Roots& roots) {
    const std::string directory = roots.sys() + "/class/remoteproc";
    std::vector<Remoteproc> all;
    for (const std::string& entry : list_names(directory, "remoteproc")) {
        const std::string base = directory + "/" + entry + "/";
        Remoteproc found{read_text(base + "name"), read_text(base + "state"), read_text(base + "firmware"), {}};
        found.domain = domain_of_remoteproc(found.name, found.firmware);
        all.push_back(std::move(found));
    }
    return all;
}

std::string problem_of(const Roots& roots, const Remoteproc& remoteproc) {
    const std::string& state = remoteproc.state;
    if (state == "running" || state == "attached" || state.empty()) return {};
    if (state == "crashed")
        return fmt::format("the DSP has crashed and was not started again (remoteproc {})", remoteproc.name);
    const std::string& firmware = remoteproc.firmware;
    if (!firmware.empty() && firmware.find("..") == std::string::npos && !firmware_exists(roots, firmware))
        return fmt::format("the DSP is {}: its firmware {} is not in /lib/firmware; install it", state, firmware);
    return fmt::format("the DSP is {}: nobody has started remoteproc {}", state, remoteproc.name);
}

} // namespace fastrpc::discovery
