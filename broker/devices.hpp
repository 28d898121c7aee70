// Discovery at work in fastrpcd: what the machine has, and what comes and goes, told to the registry.
//
// Nodes are only looked at by name and never opened. Events are told one by one, so that a restart that is over before
// anybody looked is still one more generation.
#pragma once

#include "broker/event.hpp"
#include "broker/registry.hpp"
#include "discovery/machine.hpp"
#include "discovery/watcher.hpp"

#include <chrono>
#include <map>
#include <memory>

namespace fastrpc::broker {

class Devices {
public:
    /// Tells what there is before it returns. Where nodes cannot be watched it says so in the log, and what there is
    /// now is all that will be known.
    Devices(sd_event* loop, discovery::Roots roots, Registry& registry);
    Devices(const Devices&) = delete;
    Devices& operator=(const Devices&) = delete;

private:
    void on_news();
    void apply(const discovery::NodeEvent& event);
    void tell(Domain domain);
    void look_again();

    /// remoteproc tells nobody when its state changes, and a node goes before the state has settled.
    static constexpr std::chrono::milliseconds settling{500};

    sd_event* loop_;
    discovery::Roots roots_;
    Registry& registry_;
    discovery::Machine machine_;
    std::map<Domain, std::vector<discovery::Node>> nodes_; ///< after the events told so far
    std::unique_ptr<discovery::Watcher> watcher_;
    Source readable_;
    Source settled_;
};

} // namespace fastrpc::broker
