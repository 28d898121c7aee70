// The file tree of a static PD, from its definition and what this machine has of it.
#pragma once

#include "daemon/files/file_tree.hpp"
#include "daemon/host/pd_definition.hpp"
#include "discovery/machine_files.hpp"

namespace fastrpc::daemon {

/// Opens what is there. `state`, which must outlive the tree, is null for a PD that may write nothing: then what it may
/// write elsewhere is read-only.
Result<FileTree> build_tree(const PdDefinition& definition, Overlay* state, const discovery::Roots& roots = {});

/// Whether any of it may be written.
[[nodiscard]] bool has_state(const PdDefinition& definition) noexcept;

} // namespace fastrpc::daemon
