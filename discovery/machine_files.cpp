// YAML is read by yaml-cpp: the files are written by hand and by others, and use what YAML allows.
#include "discovery/machine_files.hpp"

#include "discovery/machine.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <fmt/core.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <yaml-cpp/yaml.h>

namespace fastrpc::discovery {
namespace {

constexpr const char* base = "/usr/share/qcom";
constexpr std::size_t most_bytes = 64U << 10;

std::string read_whole(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::string text(most_bytes, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

std::string read_device_tree(const Roots& roots, const std::string& property) {
    std::string text = read_whole(roots.path("/sys/firmware/devicetree/base/" + property));
    return text.empty() ? read_whole(roots.path("/proc/device-tree/" + property)) : text;
}

/// "thundercomm,db845c" and "qcom,sdm845" of a compatible property.
std::vector<std::string> compatible(const Roots& roots) {
    std::vector<std::string> entries;
    const std::string text = read_device_tree(roots, "compatible");
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\0', at), text.size());
        // A component of a path that leads elsewhere is none.
        if (end > at && text.find('/', at) >= end && text.find("..", at) >= end)
            entries.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return entries;
}

std::string after_comma(const std::string& entry) {
    return entry.substr(entry.find(',') + 1); // npos + 1 is 0
}

std::string firmware_directory(const Roots& roots, const std::string& model) {
    const std::vector<std::string> entries = compatible(roots);
    const std::string vendor = model.substr(0, model.find(' '));
    for (const std::string& soc : entries) {
        if (!soc.starts_with("qcom,") || vendor.empty() || vendor.find('/') != vendor.npos) continue;
        for (const std::string& device : entries) {
            std::string path = fmt::format("{}/{}/{}/{}", base, after_comma(soc), vendor, after_comma(device));
            if (exists(roots.path(path))) return path;
        }
    }
    return base;
}

std::optional<std::string> libraries_in(const std::string& file, const std::string& model) {
    try {
        const YAML::Node path = YAML::Load(read_whole(file))["machines"][model]["DSP_LIBRARY_PATH"];
        if (path.IsDefined() && path.IsScalar()) return path.as<std::string>();
    } catch (const YAML::Exception&) {
        // Not for us to judge: another program's file, and the search goes on without it.
    }
    return std::nullopt;
}

std::string library_directory(const Roots& roots, const std::string& model) {
    std::string found;
    const std::string directory = roots.path(std::string(base) + "/conf.d");
    for (const std::string& name : list_names(directory, "")) {
        if (!name.ends_with(".yaml") && !name.ends_with(".yml")) continue;
        if (const auto path = libraries_in(directory + '/' + name, model))
            found = (std::filesystem::path(base) / *path).string(); // the last match wins
    }
    return found;
}

void add_files(const std::string& directory, std::map<std::string, std::string>& files) {
    for (const std::string& name : list_names(directory, "")) {
        std::error_code ignored;
        if (!std::filesystem::is_regular_file(directory + '/' + name, ignored)) continue;
        if (std::string text = read_whole(directory + '/' + name); !text.empty()) files.emplace(name, std::move(text));
    }
}

/// The first two cells of qcom,msm-id: the chip's id and its revision.
std::optional<std::array<std::uint32_t, 2>> chip_of(const Roots& roots) {
    const std::string cells = read_device_tree(roots, "qcom,msm-id");
    if (cells.size() < 2 * sizeof(std::uint32_t)) return std::nullopt;
    std::array<std::uint32_t, 2> values{};
    for (std::size_t i = 0; i < cells.size() && i < sizeof values; ++i)
        values[i / 4] = values[i / 4] << 8 | static_cast<std::uint8_t>(cells[i]);
    return values;
}

} // namespace

MachineFiles machine_files(const Roots& roots) {
    const std::string model = read_model(roots);
    MachineFiles files{firmware_directory(roots, model), {}};
    if (!model.empty()) files.libraries = library_directory(roots, model);
    return files;
}

std::map<std::string, std::string> soc_info(const Roots& roots, const std::string& firmware) {
    std::map<std::string, std::string> files;
    add_files(roots.path("/sys/devices/soc0"), files);
    add_files(roots.path(firmware + "/socinfo"), files);
    if (const auto chip = chip_of(roots)) {
        files.emplace("soc_id", fmt::format("{}\n", (*chip)[0]));
        files.emplace("revision", fmt::format("{}.{}\n", (*chip)[1] >> 16, (*chip)[1] & 0xFFFF));
    }
    if (const std::string model = read_model(roots); !model.empty()) files.emplace("machine", model + '\n');
    return files;
}

} // namespace fastrpc::discovery
