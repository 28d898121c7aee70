#include "daemon/host/granted_modules.hpp"

#include "daemon/host/module_table.hpp"
#include "ipc/module_uri.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/core.h>

namespace fastrpc::daemon {
namespace {

// The file that the DSP loads for `uri`; empty when another parser might find another one.
std::string file_of(std::string_view uri) {
    constexpr std::string_view scheme = "file:///";
    if (!uri.starts_with(scheme)) return is_module_name(uri) ? fmt::format("lib{}_skel.so", uri) : std::string();
    uri.remove_prefix(scheme.size());
    const std::string_view file = uri.substr(0, uri.find('?'));
    return is_module_name(file) ? std::string(file) : std::string();
}

} // namespace

GrantedModules::GrantedModules(const Grant& grant) {
    if (grant.modules.empty()) return;
    std::string list;
    for (const GrantedModule& module : grant.modules) {
        names_.push_back({module.name, module.sha256.has_value()});
        list += (list.empty() ? "" : ", ") + module.name;
    }
    reason_ = fmt::format("it is none of the modules that rule \"{}\" ({}:{}) grants this session: {}", grant.rule,
                          grant.file, grant.line, list);
}

Status GrantedModules::check(std::string_view uri) const {
    if (names_.empty()) return {};
    const std::string file = file_of(uri);
    if (!file.empty() && std::ranges::find(names_, file, &Name::name) != names_.end()) return {};
    return fail(ErrorKind::denied, fmt::format("module {} refused: {}", module_name(uri), reason_), EACCES);
}

std::optional<std::vector<std::string>>
GrantedModules::in_directories(const std::vector<std::string>& handed_over) const {
    if (names_.empty()) return std::nullopt;
    std::vector<std::string> names;
    for (const auto& [name, sealed] : names_)
        if (!sealed && std::ranges::find(handed_over, name) == handed_over.end()) names.push_back(name);
    return names;
}

} // namespace fastrpc::daemon
