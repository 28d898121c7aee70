#include "broker/devices.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <sys/epoll.h>

namespace fastrpc::broker {

Devices::Devices(sd_event* loop, discovery::Roots roots, Registry& registry) :
    loop_(loop), roots_(std::move(roots)), registry_(registry) {
    auto watcher = discovery::Watcher::open(roots_);
    if (watcher) {
        watcher_ = std::move(*watcher);
        auto source = Source::io(loop_, watcher_->fd(), EPOLLIN, [this] { on_news(); });
        if (source)
            readable_ = std::move(*source);
        else
            log::error("devices that come and go are not noticed: " + source.error().text);
    } else {
        log::error("devices that come and go are not noticed: " + watcher.error().text);
    }
    machine_ = discovery::discover(roots_);
    for (const std::string& note : machine_.notes) log::info(note);
    if (machine_.domains.empty())
        log::info("this machine has no DSP: no FastRPC node below /dev and no remoteproc of one below /sys; until one "
                  "comes there is nothing to do");
    for (const discovery::FoundDomain& found : machine_.domains) {
        // The watcher's picture is the one that its events continue.
        nodes_[found.domain] = watcher_ ? watcher_->nodes(found.domain) : found.nodes;
        tell(found.domain);
    }
}

void Devices::on_news() {
    const auto events = watcher_->dispatch();
    if (!events) {
        log::error("devices that come and go are no longer noticed: " + events.error().text);
        readable_.reset();
        return;
    }
    machine_ = discovery::discover(roots_);
    for (const discovery::NodeEvent& event : *events) apply(event);
    settled_ = Source::timer(loop_, settling, [this] { look_again(); });
}

void Devices::apply(const discovery::NodeEvent& event) {
    using Kind = discovery::NodeEvent::Kind;
    if (event.kind == Kind::changed) return;
    std::vector<discovery::Node>& nodes = nodes_[event.node.domain];
    std::erase_if(nodes, [&](const discovery::Node& node) { return node.path == event.node.path; });
    if (event.kind == Kind::added) nodes.push_back(event.node);
    std::ranges::sort(nodes, discovery::tried_before);
    tell(event.node.domain);
}

void Devices::tell(Domain domain) {
    DeviceFacts facts;
    for (const discovery::Node& node : nodes_[domain]) facts.nodes.push_back(node.path);
    if (!facts.nodes.empty()) facts.backend = to_string(nodes_[domain].front().backend);
    if (const discovery::FoundDomain* found = machine_.find(domain)) {
        facts.remoteproc = found->remoteproc;
        facts.remoteproc_state = found->remoteproc_state;
        facts.problems = found->problems;
    }
    registry_.set_devices(domain, std::move(facts));
}

void Devices::look_again() {
    settled_.reset();
    machine_ = discovery::discover(roots_);
    for (const Domain domain : all_domains)
        if (nodes_.contains(domain) || machine_.find(domain) != nullptr) tell(domain);
}

} // namespace fastrpc::broker
