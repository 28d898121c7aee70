// Device nodes of every kind come and go while sessions do: the signals on the bus are in order, clients hear
// documented errors alone, and nothing is left.
//
// FASTRPC_HOTPLUG_TIMES sets how often a node goes and comes.
#include "tests/integration/leaks.hpp"
#include "tests/integration/monitor.hpp"
#include "tests/integration/soc_control.hpp"
#include "tests/integration/storm_client.hpp"

#include <cstdlib>
#include <span>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

int times() {
    const char* given = std::getenv("FASTRPC_HOTPLUG_TIMES");
    return given != nullptr ? std::atoi(given) : 100;
}

void set_dsp(const stack::Stack& system, const std::string& domain, bool up) {
    command(system, {{"command", up ? "up" : "down"}, {"domain", domain}});
}

/// What must not grow.
struct Held {
    explicit Held(const stack::Stack& system) :
        soc_fds(fds(system.vdsp())), soc_threads(thread_count(system.vdsp())), broker_fds(test::broker_fds(system)),
        slots(status(system).value("slots_used", 0)), contexts(status(system).value("contexts_used", 0)),
        windows(status(system).value("windows", 0)) {}
    [[nodiscard]] bool within(const Held& most) const {
        return soc_fds <= most.soc_fds && soc_threads <= most.soc_threads && broker_fds <= most.broker_fds &&
               slots <= most.slots && contexts <= most.contexts && windows <= most.windows;
    }
    [[nodiscard]] std::string text() const {
        return std::to_string(soc_fds) + " fds and " + std::to_string(soc_threads) + " threads of the SoC, " +
               std::to_string(broker_fds) + " fds of fastrpcd, " + std::to_string(slots) + " slots, " +
               std::to_string(contexts) + " contexts, " + std::to_string(windows) + " windows";
    }
    std::size_t soc_fds, soc_threads, broker_fds;
    int slots, contexts, windows;
};

void expect_no_session(const stack::Stack& system) {
    EXPECT_TRUE(stack::eventually([&] { return ctl_list(system).value("sessions", json::array({1})).empty(); }));
    EXPECT_TRUE(stack::eventually([&] { return user_pds(system).empty(); })) << soc(system);
}

void expect_nothing_is_left(const stack::Stack& system, const Held& before) {
    expect_no_session(system);
    EXPECT_TRUE(stack::eventually([&] { return Held(system).within(before); }))
        << Held(system).text() << "; before: " << before.text();
    EXPECT_EQ(status(system).value("zombies", -1), 0);
    EXPECT_EQ(status(system).value("contexts_abandoned", -1), 0);
}

/// The root PD of `domain` is back: its node was found again.
bool root_runs(const stack::Stack& system, const std::string& domain) {
    return stack::eventually([&] {
        for (const json& pd : ctl_list(system).value("pds", json::array()))
            if (pd.value("domain", "") == domain) return pd.value("state", "") == "running";
        return false;
    });
}

/// Ends the client; it was told nothing but what the documentation names.
void expect_documented(StormClient& client) {
    const std::set<std::string> documented{"org.fastrpc1.Error.DomainOffline", "org.fastrpc1.Error.GenerationLost",
                                           "lost"}; // the last one of a session that was open for a moment
    const json last = client.finish();
    EXPECT_EQ(last.value("mixed", -1), 0) << last;
    const json refusals = last.value("refusals", json::object());
    for (const auto& [name, count] : refusals.items()) EXPECT_TRUE(documented.contains(name)) << name << ": " << count;
}

} // namespace

/// All that happened before now is among the monitor's events: signals of one sender keep their order.
void catch_up(const stack::Stack& system, Monitor& monitor, const std::string& other_domain) {
    set_dsp(system, other_domain, false);
    EXPECT_TRUE(monitor.until_state("domain/" + other_domain, "offline")) << system.log();
}

TEST(Hotplug, a_dsp_that_comes_and_goes_under_its_sessions_is_told_in_order) {
    const auto system = start_system({.watched = true});
    ASSERT_EQ(call(*system, {"--calls", "1"}).value("exit", -1), 0); // what is made once, for good, is there
    expect_no_session(*system);
    const Held before(*system);
    Monitor monitor(*system);
    std::vector<StormClient> clients;
    clients.reserve(2);
    for (unsigned i = 0; i < 2; ++i) clients.emplace_back(*system, 2);
    for (int i = 0; i < times(); ++i) {
        // Every other time in the middle of calls, else whatever sessions do just then.
        for (StormClient& client : std::span(clients).first(i % 2 == 0 ? clients.size() : 0)) {
            ASSERT_FALSE(client.next("ready").is_null()) << i << system->log();
        }
        set_dsp(*system, "cdsp", false);
        ASSERT_TRUE(monitor.until_state("domain/cdsp", "offline")) << i << system->log();
        set_dsp(*system, "cdsp", true);
        ASSERT_TRUE(monitor.until_generation("domain/cdsp")) << i << system->log();
    }
    if (system->has_cdsp_root()) {
        EXPECT_TRUE(root_runs(*system, "cdsp"));
    }
    for (StormClient& client : clients) expect_documented(client);
    EXPECT_EQ(call(*system, {"--calls", "10"}).value("failed", -1), 0);
    expect_nothing_is_left(*system, before);
    catch_up(*system, monitor, "adsp");
    expect_returns(monitor.of("domain/cdsp"), 1, times());
    EXPECT_GE(expect_sessions_in_order(monitor.events()), static_cast<std::size_t>(times()));
}

TEST(Hotplug, a_secure_node_that_comes_and_goes_takes_its_static_pd_along_and_nobody_else) {
    const auto system = start_system({.watched = true});
    ASSERT_EQ(call(*system, {"--calls", "1"}).value("exit", -1), 0); // what is made once, for good, is there
    expect_no_session(*system);
    const Held before(*system);
    Monitor monitor(*system);
    Caller other(*system, {"--threads", "2"}); // on cdsp
    ASSERT_TRUE(other.calling());
    for (int i = 0; i < times(); ++i) {
        set_dsp(*system, "adsp", false);
        ASSERT_TRUE(monitor.until_state("domain/adsp", "offline")) << i << system->log();
        set_dsp(*system, "adsp", true);
        ASSERT_TRUE(monitor.until_generation("domain/adsp")) << i << system->log();
        // The PD is back by itself, without the pause that one that fails would be given.
        ASSERT_TRUE(monitor.until_state("domain/adsp/pd/root", "running")) << i << system->log();
    }
    const json calls = other.finish();
    EXPECT_EQ(calls.value("failed", -1), 0) << calls;
    EXPECT_EQ(calls.value("mixed", -1), 0) << calls;
    expect_nothing_is_left(*system, before);
    catch_up(*system, monitor, "cdsp");
    expect_returns(monitor.of("domain/adsp"), 1, times());
    int attached = 0;
    for (const json& event : monitor.of("domain/adsp/pd/root")) attached += event.value("now", "") == "running";
    EXPECT_EQ(attached, times());
}

TEST(Hotplug, a_heap_that_comes_and_goes_is_no_matter_of_sessions_that_run) {
    const auto system = start_system({.watched = true});
    ASSERT_EQ(call(*system, {"--calls", "1"}).value("exit", -1), 0); // what is made once, for good, is there
    expect_no_session(*system);
    const Held before(*system);
    Monitor monitor(*system);
    Caller running(*system, {"--threads", "2"});
    ASSERT_TRUE(running.calling());
    // Only now and then one that opens a session just then; else the test would last as long as their starts.
    for (int i = 0; i < times(); ++i) {
        command(*system, {{"command", "remove"}, {"node", "dma_heap/system"}});
        if (i % 10 == 0) {
            const json refused = call(*system, {"--calls", "1"});
            // Where the machine has a udmabuf device, that takes the heap's place.
            if (refused.value("exit", -1) != 0) {
                EXPECT_EQ(refused.value("stage", ""), "session") << refused;
                EXPECT_NE(refused.value("error", "").find("nowhere to allocate"), std::string::npos) << refused;
            }
        }
        command(*system, {{"command", "add"}, {"node", "dma_heap/system"}});
        if (i % 10 == 0) {
            EXPECT_EQ(call(*system, {"--calls", "1"}).value("exit", -1), 0);
        }
    }
    const json calls = running.finish();
    EXPECT_EQ(calls.value("failed", -1), 0) << calls;
    expect_nothing_is_left(*system, before);
    catch_up(*system, monitor, "adsp");
    EXPECT_TRUE(monitor.of("domain/cdsp").empty());
    expect_sessions_in_order(monitor.events());
}
