// Which DSPs this machine has, and which nodes lead to them.
//
// Put together from the nodes in /dev, from remoteproc and from the device tree, without opening a node.
#pragma once

#include "discovery/node.hpp"
#include "discovery/remoteproc.hpp"

#include <string>
#include <vector>

namespace fastrpc::discovery {

struct FoundDomain {
    Domain domain = Domain::cdsp;
    std::vector<Node> nodes;           ///< in the order in which a host tries them
    std::string remoteproc;            ///< its name; empty when the kernel knows of none
    std::string remoteproc_state;      ///< the kernel's word; empty without one
    std::vector<std::string> problems; ///< for people: what is wrong, and what to do
    friend bool operator==(const FoundDomain&, const FoundDomain&) = default;
};

struct Machine {
    std::string model;                ///< of the device tree; empty without one
    std::vector<FoundDomain> domains; ///< by number; each has a node or a remoteproc
    std::vector<std::string> notes;   ///< for people: nodes that are seen and not used
    [[nodiscard]] const FoundDomain* find(Domain domain) const noexcept;
};

/// The model of the device tree, printable; empty without one.
std::string read_model(const Roots& roots);

/// Never fails: what cannot be read is not there.
Machine discover(const Roots& roots = {});

} // namespace fastrpc::discovery
