// The nodes that are known to exist, and the events that follow from what a source of news reports.
//
// Sources may repeat themselves and may lose news; what comes out of here never does: an "added" and a "removed" of
// one node always take turns, beginning with the nodes of the first scan.
#pragma once

#include "discovery/node.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastrpc::discovery {

struct NodeEvent {
    /// changed: it may be accessible now, for its owner or mode was set.
    enum class Kind : std::uint8_t { added, removed, changed };
    Kind kind = Kind::added;
    Node node;
    friend bool operator==(const NodeEvent&, const NodeEvent&) = default;
};

class NodeTracker {
public:
    explicit NodeTracker(Roots roots) : roots_(std::move(roots)) {}

    /// News of the node with this name below /dev. What is no DSP's node is not heard.
    void appeared(const std::string& name);
    void vanished(const std::string& name);
    void changed(const std::string& name);
    /// All known nodes below this directory of /dev are gone, e.g. "accel/".
    void vanished_below(std::string_view directory);
    /// News was lost: looks at /dev and makes the events that lead from the known nodes to those that are there. A node
    /// that was replaced meanwhile is removed and added.
    void rescan();

    /// Events since the last time, in order.
    [[nodiscard]] std::vector<NodeEvent> take() { return std::exchange(events_, {}); }
    /// The nodes of one domain, in the order in which a host tries them.
    [[nodiscard]] std::vector<Node> nodes(Domain domain) const;
    [[nodiscard]] std::vector<Node> nodes() const;
    [[nodiscard]] const Roots& roots() const noexcept { return roots_; }

private:
    /// Tells a node from a later one of the same name; all zero when it was gone again before it could be looked at.
    struct Identity {
        std::uint64_t inode = 0;
        std::int64_t made_s = 0;
        std::int64_t made_ns = 0;
        friend bool operator==(const Identity&, const Identity&) = default;
    };
    struct Known {
        Node node;
        Identity identity;
    };
    static Identity identity_of(const std::string& path);
    void add(const std::string& name, Node node);

    Roots roots_;
    std::map<std::string, Known> known_;
    std::map<std::string, Node> seen_; ///< accel nodes by name: sysfs forgets a node before its removal is heard of
    std::vector<NodeEvent> events_;
};

} // namespace fastrpc::discovery
