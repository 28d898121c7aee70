// A device node and the DSP that it leads to, told by its name and by sysfs.
//
// Nothing here opens a node: an open file takes one of the DSP's hardware sessions (KERNEL 1.2).
#pragma once

#include "discovery/system_files.hpp"
#include "ipc/domain.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::discovery {

/// The driver behind a node: the upstream misc driver (KERNEL 1.1) or QDA (KERNEL 2.1).
enum class Backend : std::uint8_t { misc, accel };
std::string_view to_string(Backend backend) noexcept;

struct Node {
    std::string path; ///< to open
    Backend backend = Backend::misc;
    Domain domain = Domain::cdsp;
    bool secure = false; ///< the "-secure" node of the misc driver
    friend bool operator==(const Node&, const Node&) = default;
};

/// The order in which a host tries the nodes of one DSP (USERSPACE 1.2): misc secure, misc plain, accel by name.
bool tried_before(const Node& one, const Node& other) noexcept;

/// The node with this name below /dev ("fastrpc-cdsp-secure", "accel/accel0"); nothing when it is no DSP's, or when
/// sysfs does not say which one an accel node belongs to. Whether the node exists is not looked at.
std::optional<Node> identify(const Roots& roots, std::string_view name);

/// Names below /dev of everything that may be a DSP's node.
std::vector<std::string> node_names(const Roots& roots);

} // namespace fastrpc::discovery
