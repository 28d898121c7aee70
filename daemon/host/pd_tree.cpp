#include "daemon/host/pd_tree.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

namespace fastrpc::daemon {
namespace {

/// `path` with the machine's directory for its beginning; nothing when the machine has none.
std::optional<std::string> resolved(std::string_view path, const discovery::MachineFiles& machine) {
    for (const auto& [word, directory] :
         {std::pair(std::string_view("{firmware}"), &machine.firmware), {"{libraries}", &machine.libraries}}) {
        if (!path.starts_with(word)) continue;
        if (directory->empty()) return std::nullopt;
        return *directory + std::string(path.substr(word.size()));
    }
    return std::string(path);
}

/// Adds the directory if it is there.
Status add(FileTree& tree, const std::string& path, Mount mount, const discovery::Roots& roots) {
    Result<UniqueFd> directory = open_directory(roots.path(path));
    if (directory) {
        mount.links = Links::beneath;
        tree.add(std::move(*directory), std::move(mount));
        return {};
    }
    const bool absent = directory.error().kind == ErrorKind::not_found || directory.error().os_error == ENOTDIR;
    return absent ? Status{} : std::unexpected(directory.error());
}

Status add_entry(FileTree& tree, const PdFiles& entry, Overlay* state, const discovery::MachineFiles& machine,
                 const discovery::Roots& roots) {
    if (!entry.state.empty() && state != nullptr)
        if (Status added = tree.add_overlay(*state, entry.state, entry.at); !added) return added;
    for (const std::string& from : entry.from) {
        const auto path = resolved(from, machine);
        if (!path) continue;
        Mount mount{.name = entry.at, .searched = entry.searched};
        std::filesystem::path directory = *path;
        if (entry.file) {
            mount.only = directory.filename();
            directory = directory.parent_path();
        }
        if (Status added = add(tree, directory, std::move(mount), roots); !added) return added;
    }
    return {};
}

} // namespace

bool has_state(const PdDefinition& definition) noexcept {
    return std::ranges::any_of(definition.files, [](const PdFiles& entry) { return !entry.state.empty(); });
}

Result<FileTree> build_tree(const PdDefinition& definition, Overlay* state, const discovery::Roots& roots) {
    FileTree tree(definition.domain, definition.name_bytes);
    const discovery::MachineFiles machine = discovery::machine_files(roots);
    for (const std::string& directory : definition.search)
        if (const auto path = resolved(directory, machine))
            if (const Status added = add(tree, *path, {.name = *path}, roots); !added)
                return std::unexpected(added.error());
    for (const PdFiles& entry : definition.files)
        if (const Status added = add_entry(tree, entry, state, machine, roots); !added)
            return std::unexpected(added.error());
    if (!definition.soc_info.empty())
        for (const auto& [name, content] : discovery::soc_info(roots, machine.firmware))
            if (const Status added = tree.add_generated(definition.soc_info + '/' + name, content); !added)
                return std::unexpected(added.error());
    tree.remember_files();
    return tree;
}

} // namespace fastrpc::daemon
