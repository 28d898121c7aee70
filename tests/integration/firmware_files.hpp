// What the shipped scripts of the virtual firmware (config/vdsp/firmware) look for: files as a vendor installs them,
// and what pd.d says of the three PDs that get them.
#pragma once

#include "tests/integration/static_pd.hpp"

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

namespace fastrpc::test {

class FirmwareFiles {
public:
    static constexpr const char* registry = "/mnt/vendor/persist/sensors/registry/registry";

    FirmwareFiles() {
        std::filesystem::permissions(scratch_.path(), std::filesystem::perms(0755));
        scratch_.file("config/one.json", "{}");
        scratch_.file("config/two.json", std::string(5000, '2'));
        scratch_.file("soc0/soc_id", "415\n");
        scratch_.file("soc0/hw_platform", "MTP\n");
        scratch_.file("acdb/acdb_cal.acdb", std::string(20'000, 'a'));
        scratch_.file("acdb/mtp_workspace.qwsp", std::string(100, 'm'));
    }

    [[nodiscard]] json root() const { return {{"files", {from("/usr/lib/qcom/adsp", "acdb")}}}; }
    [[nodiscard]] json audio() const {
        return {{"files", {from("/vendor/etc/acdbdata", "acdb")}},
                {"environment", {{"ADSP_AVS_CFG_PATH", "/vendor/etc/acdbdata/"}}}};
    }
    [[nodiscard]] json sensors() const {
        return {{"files",
                 {from("/vendor/etc/sensors/config", "config"),
                  from("/sys/devices/soc0", "soc0"),
                  {{"at", registry}, {"state", "registry"}}}}};
    }
    [[nodiscard]] const Scratch& scratch() const { return scratch_; }

private:
    json from(const char* at, const char* directory) const {
        return {{"at", at}, {"from", {scratch_.path(directory).string()}}};
    }
    Scratch scratch_;
};

/// Where the PD's own script is, in what the status says of the PD: "running", "done" or "failed".
inline std::string script_state(const json& pd) {
    const auto own = pd.find("firmware"); // null of a PD that is about to end
    return own != pd.end() && own->is_object() ? own->value("state", "") : "";
}
/// Waits for the end of the PD's own script; where it is.
inline json firmware(const StaticPd& pd) {
    json now;
    stack::eventually([&] {
        now = pd.state();
        return script_state(now) == "done" || script_state(now) == "failed";
    });
    return now.value("firmware", json::object());
}

inline std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
/// {"pattern": size, "seed": seed} of a script.
inline std::string pattern(std::size_t size, std::uint64_t seed) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(7 * i + i / 256 + 31 * seed);
    return bytes;
}
/// How many starts the file says that sensors' script writes at each; nothing when it is not whole.
inline std::optional<std::uint32_t> starts_counted(const StaticPd& sensors) {
    const std::string bytes = bytes_of(sensors.state_directory() / "registry/vdsp_state");
    std::uint32_t starts = 0;
    if (bytes.size() < sizeof starts) return std::nullopt;
    std::memcpy(&starts, bytes.data(), sizeof starts);
    if (bytes.substr(sizeof starts) != pattern(6000, starts)) return std::nullopt;
    return starts;
}

} // namespace fastrpc::test
