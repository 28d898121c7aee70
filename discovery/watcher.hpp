// Arrival and removal of DSP nodes, without polling.
//
// A watcher is one fd for whatever loop there is: when it is readable, dispatch() returns the events. Nothing that
// happens after open() is lost: a pair of removal and arrival that is over before anybody looks is still two events.
#pragma once

#include "base/result.hpp"
#include "discovery/node_tracker.hpp"
#include "discovery/source.hpp"

#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

namespace fastrpc::discovery {

class Watcher {
public:
    /// automatic: udev where it runs and can be heard, else inotify. A process in a network namespace of its own must
    /// take inotify (or be kept from AF_NETLINK sockets, which has the same effect): udev does not reach it.
    enum class Means : std::uint8_t { automatic, udev, inotify };

    /// Scans once; the nodes that are there are nodes(), not events.
    static Result<std::unique_ptr<Watcher>> open(Roots roots = {}, Means means = Means::automatic);
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    /// Readable when there may be events; the same number for the watcher's life.
    [[nodiscard]] int fd() const noexcept { return source_->fd(); }
    /// Events since the last call, in order; never blocks. After an error no more events come.
    Result<std::vector<NodeEvent>> dispatch();

    /// The nodes after the events of the last dispatch(), those that a host tries first in front.
    [[nodiscard]] std::vector<Node> nodes() const { return tracker_.nodes(); }
    [[nodiscard]] std::vector<Node> nodes(Domain domain) const { return tracker_.nodes(domain); }
    /// "udev" or "inotify".
    [[nodiscard]] std::string_view means() const noexcept { return means_; }

private:
    explicit Watcher(Roots roots) : tracker_(std::move(roots)) {}
    NodeTracker tracker_;
    std::unique_ptr<Source> source_; // tells the tracker: gone before it
    std::string_view means_;
};

/// Blocks until the domain has a node, and returns its nodes; ErrorKind::offline after `timeout`. For threads without a
/// loop.
Result<std::vector<Node>> wait_for_node(Domain domain, std::chrono::milliseconds timeout, Roots roots = {},
                                        Watcher::Means means = Watcher::Means::automatic);

} // namespace fastrpc::discovery
