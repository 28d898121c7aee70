// A registry with fake hosts on real sockets, and a list of all that it told its observer.
#pragma once

#include "broker/registry.hpp"
#include "tests/unit/broker/fake_host.hpp"
#include "tests/unit/broker/loop.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::broker::test {

struct Recorder final : RegistryObserver {
    std::vector<std::string> events;
    void note(const std::string& what) { events.push_back(what); }
    void domain_added(const DomainEntry& d) override { note("domain+ " + std::string(to_string(d.domain))); }
    void domain_changed(const DomainEntry& d) override { note("domain " + d.state); }
    void generation_changed(const DomainEntry& d, std::uint64_t before, const std::string&) override {
        note(fmt::format("generation {} {}", before, d.generation));
    }
    void pd_added(const ProtectionDomain& pd) override { note("pd+ " + std::string(to_string(pd.about.kind))); }
    void pd_changed(const ProtectionDomain& pd) override { note("pd " + std::string(to_string(pd.about.state))); }
    void pd_counted(const ProtectionDomain& pd) override {
        note(fmt::format("files {}", pd.link->counters().files_served));
    }
    void session_added(const Session&) override { note("session+"); }
    void session_changed(const Session& s) override { note("session " + std::string(s.state())); }
    void session_lost(const Session&, const std::string& reason) override { note("lost: " + reason); }
    void session_removed(const Session&) override { note("session-"); }
    [[nodiscard]] bool saw(const std::string& what) const { return std::ranges::count(events, what) > 0; }
};

class RegistryTest : public testing::Test {
protected:
    Loop loop;
    Quotas quotas;
    Recorder seen;
    Registry registry{quotas, seen};

    std::pair<FakeHost, std::unique_ptr<HostLink>> connection() {
        auto pair = socket_pair();
        auto link = HostLink::open(loop, std::move(pair->first), [](const HostMessage&) {});
        return {FakeHost(std::move(pair->second)), std::move(*link)};
    }
    Result<FakeHost> adopted(const Description& about) {
        auto [host, link] = connection();
        if (Status done = registry.adopt(link, about); !done) return std::unexpected(done.error());
        if (!host.receive()) return fail(ErrorKind::lost, "no answer to the description");
        return std::move(host);
    }
};

} // namespace fastrpc::broker::test
