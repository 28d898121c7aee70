#include "discovery/node_tracker.hpp"

#include <algorithm>
#include <sys/stat.h>

namespace fastrpc::discovery {

NodeTracker::Identity NodeTracker::identity_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    return {status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

void NodeTracker::add(const std::string& name, Node node) {
    events_.push_back({NodeEvent::Kind::added, node});
    if (node.backend == Backend::accel) seen_.insert_or_assign(name, node);
    const Identity identity = identity_of(node.path);
    known_.insert_or_assign(name, Known{std::move(node), identity});
}

void NodeTracker::appeared(const std::string& name) {
    if (known_.contains(name)) return changed(name);
    const std::string path = roots_.dev() + "/" + name;
    const Identity before = identity_of(path);
    auto node = identify(roots_, name);
    if (!node) {
        // Sysfs comes before a node and goes after it. So a node that was there all the while is no DSP's; one that was
        // not is gone again already, and most likely was the DSP's that had this number before.
        const auto seen = seen_.find(name);
        if (seen == seen_.end() || (before != Identity{} && identity_of(path) == before)) return;
        node = seen->second;
    }
    add(name, std::move(*node));
}

void NodeTracker::vanished(const std::string& name) {
    const auto found = known_.find(name);
    if (found == known_.end()) return;
    events_.push_back({NodeEvent::Kind::removed, std::move(found->second.node)});
    known_.erase(found);
}

void NodeTracker::changed(const std::string& name) {
    const auto found = known_.find(name);
    // An accel node may get its name in sysfs late.
    if (found == known_.end()) {
        if (exists(roots_.dev() + "/" + name)) {
            if (auto node = identify(roots_, name)) add(name, std::move(*node));
        }
        return;
    }
    events_.push_back({NodeEvent::Kind::changed, found->second.node});
}

void NodeTracker::vanished_below(std::string_view directory) {
    std::vector<std::string> gone;
    for (const auto& [name, known] : known_)
        if (name.starts_with(directory)) gone.push_back(name);
    for (const std::string& name : gone) vanished(name);
}

void NodeTracker::rescan() {
    const std::vector<std::string> names = node_names(roots_);
    std::vector<std::string> gone;
    for (const auto& [name, known] : known_)
        if (std::ranges::find(names, name) == names.end() || identity_of(known.node.path) != known.identity)
            gone.push_back(name);
    for (const std::string& name : gone) vanished(name);
    for (const std::string& name : names) {
        if (known_.contains(name)) continue;
        if (auto node = identify(roots_, name)) add(name, std::move(*node));
    }
}

std::vector<Node> NodeTracker::nodes() const {
    std::vector<Node> all;
    for (const auto& [name, known] : known_) all.push_back(known.node);
    std::ranges::sort(all, tried_before);
    return all;
}

std::vector<Node> NodeTracker::nodes(Domain domain) const {
    std::vector<Node> all = nodes();
    std::erase_if(all, [&](const Node& node) { return node.domain != domain; });
    return all;
}

} // namespace fastrpc::discovery
