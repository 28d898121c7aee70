// Whom ExplainAccess is about.
#include "broker/manager.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <optional>

namespace fastrpc::broker {
namespace {

constexpr std::size_t max_groups = 65536; // NGROUPS_MAX
constexpr std::size_t max_modules = 64;

std::unexpected<Error> malformed() {
    return fail(
        ErrorKind::invalid,
        "the subject must be a{sv} with \"uid\" of type u, \"gids\" of type au, \"label\" of type s, \"modules\" of "
        "type as and \"directories\" of type u",
        EINVAL);
}

struct Asked {
    std::optional<std::uint32_t> uid;
    std::optional<std::vector<std::uint32_t>> gids;
    std::optional<std::string> label;
    std::vector<std::string> modules;
    std::uint32_t directories = 0;
};

Status read_modules(sd_bus_message* call, std::vector<std::string>& modules) {
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_VARIANT, "as") < 0 ||
        ::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "s") < 0)
        return malformed();
    const char* name = nullptr;
    int step = 0;
    while ((step = ::sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &name)) > 0) {
        if (modules.size() == max_modules)
            return fail(ErrorKind::invalid, fmt::format("at most {} modules can be asked about", max_modules), EINVAL);
        modules.emplace_back(name);
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0 || ::sd_bus_message_exit_container(call) < 0)
        return malformed();
    return {};
}

Status read_entry(sd_bus_message* call, Asked& asked) {
    const char* key = nullptr;
    if (::sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &key) < 0) return malformed();
    const std::string_view name(key);
    if (name == "uid") {
        std::uint32_t uid = 0;
        if (::sd_bus_message_read(call, "v", "u", &uid) < 0) return malformed();
        asked.uid = uid;
        return {};
    }
    if (name == "label") {
        const char* label = nullptr;
        if (::sd_bus_message_read(call, "v", "s", &label) < 0) return malformed();
        asked.label = label;
        return {};
    }
    if (name == "modules") return read_modules(call, asked.modules);
    if (name == "directories")
        return ::sd_bus_message_read(call, "v", "u", &asked.directories) < 0 ? malformed() : Status{};
    if (name != "gids")
        return fail(ErrorKind::invalid,
                    fmt::format("unknown subject key \"{}\"; known are uid, gids, label, modules, directories", name),
                    EINVAL);
    const void* data = nullptr;
    std::size_t size = 0;
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_VARIANT, "au") < 0 ||
        ::sd_bus_message_read_array(call, SD_BUS_TYPE_UINT32, &data, &size) < 0 ||
        ::sd_bus_message_exit_container(call) < 0 || size / sizeof(std::uint32_t) > max_groups)
        return malformed();
    std::vector<std::uint32_t>& gids = asked.gids.emplace(size / sizeof(std::uint32_t));
    if (!gids.empty()) std::memcpy(gids.data(), data, gids.size() * sizeof(std::uint32_t));
    return {};
}

} // namespace

Result<AskedSubject> read_subject(sd_bus_message* call, const Subject& caller) {
    Asked asked;
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "{sv}") < 0) return malformed();
    int step = 0;
    while ((step = ::sd_bus_message_enter_container(call, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
        if (Status read = read_entry(call, asked); !read) return std::unexpected(read.error());
        if (::sd_bus_message_exit_container(call) < 0) return malformed();
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0) return malformed();

    const bool oneself = !asked.gids && asked.uid.value_or(caller.uid) == caller.uid &&
                         asked.label.value_or(caller.label) == caller.label;
    if (oneself) return AskedSubject{caller, std::move(asked.modules), asked.directories, true};
    return AskedSubject{{.uid = asked.uid.value_or(caller.uid),
                         .gids = asked.gids.value_or(asked.uid ? std::vector<std::uint32_t>() : caller.gids),
                         .label = asked.label.value_or("")},
                        std::move(asked.modules),
                        asked.directories,
                        false};
}

} // namespace fastrpc::broker
