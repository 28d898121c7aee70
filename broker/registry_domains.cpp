// The half of the registry that is about domains: discovery and hosts, joined.
#include "broker/registry.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/core.h>
#include <ranges>

namespace fastrpc::broker {
namespace {

std::uint64_t now_us() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

/// What the hosts of a domain say, counted.
struct Hosts {
    std::array<unsigned, 7> states{}; ///< by PdState
    bool again = false;               ///< one attaches that ran before
    [[nodiscard]] bool any(PdState state) const { return states.at(static_cast<std::size_t>(state)) > 0; }
};

// A domain whose node was seen once is away when its node is, whatever hosts have not noticed yet. Of one whose nodes
// fastrpcd cannot see, only the hosts know.
std::string state_of(const DeviceFacts& facts, bool node_seen, const Hosts& hosts) {
    if (node_seen && facts.nodes.empty()) return facts.remoteproc.empty() ? "absent" : "offline";
    if (hosts.any(PdState::running)) return "online";
    if (hosts.any(PdState::restarting) || (hosts.any(PdState::attaching) && hosts.again)) return "recovering";
    if (hosts.any(PdState::attaching)) return "starting";
    if (hosts.any(PdState::failed)) return "failed";
    if (node_seen) return "online";
    if (facts.remoteproc.empty() && hosts.any(PdState::waiting)) return "absent";
    return "offline";
}

} // namespace

std::uint64_t Registry::arrivals(Domain domain) const {
    const auto known = memory_.find(domain);
    return known == memory_.end() ? 0 : known->second.arrivals;
}

void Registry::set_devices(Domain domain, DeviceFacts facts) {
    Memory& memory = memory_[domain];
    const bool arrived = memory.facts.nodes.empty() && !facts.nodes.empty();
    const bool left = !memory.facts.nodes.empty() && facts.nodes.empty();
    const std::string rproc =
        facts.remoteproc_state.empty() ? "" : fmt::format(" (remoteproc: {})", facts.remoteproc_state);
    memory.facts = std::move(facts);
    const std::uint64_t before = memory.generation;
    if (arrived) {
        ++memory.generation;
        ++memory.arrivals;
        memory.slots.forget();
        lost_.forget(domain);
    }
    if (left) {
        memory.last_crash_us = now_us();
        memory.last_crash_reason = "the DSP went away with its nodes" + rproc;
    }
    const bool known = domains_.contains(domain); // a new one is shown with its first generation
    refresh(domain);
    if (arrived && known)
        observer_.generation_changed(domains_.at(domain), before,
                                     before == 0 ? "the DSP's first node has come" : "the DSP is back with its nodes");
    if (arrived) tell_room(domain);
}

void Registry::learn(const Description& about) {
    Memory& memory = memory_[about.domain];
    if (!about.profile.empty()) memory.profile = about.profile;
    if (about.capabilities != unknown_capabilities()) memory.capabilities = about.capabilities;
    if (memory.arrivals == 0) memory.generation = std::max(memory.generation, about.generation);
}

void Registry::note_crash(Domain domain, std::string reason) {
    Memory& memory = memory_[domain];
    memory.last_crash_us = now_us();
    memory.last_crash_reason = std::move(reason);
}

Slots Registry::slots(Domain domain) const {
    const auto known = memory_.find(domain);
    return known == memory_.end() ? Slots() : known->second.slots;
}

Slots::Use Registry::slots_used(Domain domain) const {
    const auto of_domain = [&](const auto& entry) { return entry.first.first == domain; };
    const auto attached = [&](const auto& entry) { return of_domain(entry) && entry.second.link; };
    return {.sessions = static_cast<std::uint32_t>(quotas_.slots.used(Quotas::domain_key(domain))),
            .attached = static_cast<std::uint32_t>(std::ranges::count_if(pds_, attached)),
            .known = static_cast<std::uint32_t>(std::ranges::count_if(pds_, of_domain))};
}

void Registry::note_full(Domain domain, Slots::Time now) {
    memory_[domain].slots.full(slots_used(domain), now);
    if (domains_.contains(domain)) refresh(domain);
}

void Registry::note_time(Domain domain, Slots::Time now) {
    Slots& slots = memory_[domain].slots;
    if (!slots.stale(now)) return;
    slots.forget();
    if (domains_.contains(domain)) refresh(domain);
}

void Registry::note_losses(const HostMessage& message, const Description& about, const HostLink& link,
                           std::uint64_t arrivals_then) {
    if (arrivals_then != arrivals(about.domain)) return; // the DSP has restarted since
    if (const auto* bye = std::get_if<ByeMessage>(&message))
        return lost_.add(about.domain, admitted(about, bye->lost_contexts));
    memory_[about.domain].slots.killed(std::chrono::steady_clock::now());
    lost_.presume(about, left_behind(about, link.known_counters()));
}

DomainEntry Registry::look_at(Domain domain) const {
    const auto known = memory_.find(domain);
    const Memory memory = known == memory_.end() ? Memory{} : known->second;
    DomainEntry entry{.domain = domain,
                      .generation = memory.generation,
                      .backend = memory.facts.backend,
                      .profile = memory.profile,
                      .nodes = memory.facts.nodes,
                      .sessions_max = memory.slots.max(),
                      .contexts_lost = lost_.of(domain),
                      .last_crash_us = memory.last_crash_us,
                      .last_crash_reason = memory.last_crash_reason,
                      .capabilities = memory.capabilities};
    Hosts hosts;
    std::vector<std::string> problems;
    std::vector<std::string> nodes;
    std::string backend;
    const auto see_node = [&](const Description& about) {
        if (about.node.empty()) return;
        if (std::ranges::find(nodes, about.node) == nodes.end()) nodes.push_back(about.node);
        if (!about.backend.empty()) backend = about.backend;
    };
    for (const auto& [key, pd] : pds_) {
        if (key.first != domain) continue;
        see_node(pd.about);
        ++hosts.states.at(static_cast<std::size_t>(pd.about.state));
        hosts.again = hosts.again || (pd.about.state == PdState::attaching && pd.about.restarts > 0);
        const bool stuck = pd.about.state == PdState::waiting && !memory.facts.nodes.empty();
        if (pd.about.state == PdState::failed || (stuck && !pd.about.reason.empty()))
            problems.push_back(fmt::format("{}: {}", to_string(key.second), pd.about.reason));
    }
    for (const auto& [id, session] : sessions_) {
        if (session.about.domain != domain) continue;
        see_node(session.about);
        // A session that runs shows that its DSP does; one that does not has reasons of its own.
        if (session.about.state == PdState::running) ++hosts.states.at(static_cast<std::size_t>(PdState::running));
        ++entry.sessions_used;
        entry.contexts_granted += static_cast<std::uint32_t>(session.charges.lanes.amount());
    }
    if (!backend.empty()) entry.backend = backend; // who has the node open knows best
    if (memory.arrivals == 0 && !nodes.empty())
        entry.nodes = std::move(nodes); // fastrpcd does not see them, hosts do
    else
        entry.problems = memory.facts.problems;
    std::ranges::move(problems, std::back_inserter(entry.problems));
    if (entry.contexts_lost > 0)
        entry.problems.push_back(fmt::format("{} of its {} call contexts are lost to calls that were left inside the "
                                             "DSP; restart the DSP to get them back",
                                             entry.contexts_lost, contexts_max));
    entry.state = state_of(memory.facts, memory.arrivals > 0, hosts);
    return entry;
}

void Registry::refresh(Domain domain) {
    DomainEntry now = look_at(domain);
    const auto [place, added] = domains_.try_emplace(domain, now);
    if (added) return observer_.domain_added(place->second);
    if (place->second == now) return;
    place->second = std::move(now);
    observer_.domain_changed(place->second);
}

} // namespace fastrpc::broker
