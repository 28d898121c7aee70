// A real fastrpcd on a machine of files: domains on the bus follow the nodes, and signals come in the right order.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/broker/signals.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <sys/inotify.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr const char* cdsp_path = "/org/fastrpc1/domain/cdsp";
constexpr const char* domain_interface = "org.fastrpc1.Domain";

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string dumped(Client& client, const char* property) {
    const Call::Answer answer = client.property(cdsp_path, domain_interface, property).wait();
    return answer.error.empty() ? dump(answer.message.get()) : "error: " + answer.error;
}

// State and generation as the bus's signals tell them, in the order in which they come.
struct History {
    std::vector<std::string> lines;
    sd_bus_slot* slot = nullptr;
    std::string state;
    explicit History(Client& client) {
        const auto on_signal = [](sd_bus_message* m, void* data, sd_bus_error*) {
            static_cast<History*>(data)->on_signal(m);
            return 0;
        };
        const std::string rule = std::string("type='signal',sender='org.fastrpc1',path='") + cdsp_path + "'";
        ::sd_bus_add_match(client.raw(), &slot, rule.c_str(), on_signal, this);
    }
    History(const History&) = delete;
    ~History() { ::sd_bus_slot_unref(slot); }
    void on_signal(sd_bus_message* m) {
        if (::sd_bus_message_is_signal(m, domain_interface, "GenerationChanged") > 0) {
            std::uint64_t before = 0, now = 0;
            const char* reason = nullptr;
            ASSERT_GT(::sd_bus_message_read(m, "tts", &before, &now, &reason), 0);
            EXPECT_NE(std::string(reason), "");
            lines.push_back(fmt::format("{} > {}", before, now));
            return;
        }
        const std::string text = dump(m);
        for (const char* word : {"online", "offline", "absent"})
            if (has(text, fmt::format("\"{}\"", word)) && state != word) lines.push_back(state = word);
    }
};

} // namespace

TEST(Devices, domains_of_the_machine_are_there_before_any_host) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.add_node("fastrpc-cdsp-secure");
    system.write("sys/class/remoteproc/remoteproc0/name", "adsp\n");
    system.write("sys/class/remoteproc/remoteproc0/state", "crashed\n");
    system.start_fastrpcd();
    Client client = system.client();
    EXPECT_TRUE(has(dumped(client, "State"), "online"));
    EXPECT_TRUE(has(dumped(client, "Generation"), "UINT64 1"));
    EXPECT_TRUE(has(dumped(client, "Backend"), "misc"));
    EXPECT_TRUE(has(dumped(client, "Nodes"), "/dev/fastrpc-cdsp-secure"));
    EXPECT_TRUE(has(dumped(client, "ContextsMax"), "UINT32 255"));
    EXPECT_TRUE(has(dumped(client, "ContextsReserved"), "UINT32 33"));
    const Call::Answer adsp = client.property("/org/fastrpc1/domain/adsp", domain_interface, "State").wait();
    EXPECT_TRUE(has(dump(adsp.message.get()), "offline"));
    EXPECT_TRUE(
        has(dump(client.property("/org/fastrpc1/domain/adsp", domain_interface, "Problems").wait().message.get()),
            "crashed"));
    EXPECT_NE(client.property("/org/fastrpc1/domain/gdsp0", domain_interface, "State").wait().error, "");
}

TEST(Devices, a_domain_that_comes_later_is_a_new_object) {
    PrivateSystem system;
    Client client = system.client();
    Signals added(client, "InterfacesAdded");
    system.add_accel(0, "gdsp1");
    ASSERT_TRUE(client.until([&] { return !added.texts.empty(); }));
    EXPECT_TRUE(has(added.texts[0], "/org/fastrpc1/domain/gdsp1"));
    EXPECT_TRUE(has(added.texts[0], "accel"));
}

TEST(Devices, a_hundred_removals_and_arrivals_of_each_kind_of_node_are_told_in_order) {
    for (const bool accel : {false, true}) {
        PrivateSystem system({.start = false});
        const auto come = [&] { accel ? system.add_accel(3, "cdsp") : system.add_node("fastrpc-cdsp-secure"); };
        const auto go = [&] { accel ? system.remove_accel(3) : system.remove_node("fastrpc-cdsp-secure"); };
        system.add_accel(0, "gdsp0"); // the directory stays
        come();
        system.start_fastrpcd();
        Client client = system.client();
        History history(client);
        client.property(cdsp_path, domain_interface, "State").wait(); // the match is in place
        std::vector<std::string> expected;
        for (unsigned i = 1; i <= 100; ++i) {
            go();
            come();
            expected.insert(expected.end(), {"absent", "online", fmt::format("{} > {}", i, i + 1)});
        }
        EXPECT_TRUE(client.until([&] { return history.lines.size() >= expected.size(); }));
        EXPECT_EQ(history.lines, expected) << (accel ? "accel" : "misc");
        EXPECT_TRUE(has(dumped(client, "Generation"), "UINT64 101"));
    }
}

TEST(Devices, a_thousand_restarts_count_to_one_thousand_and_one) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.start_fastrpcd();
    Client client = system.client();
    Signals generations(client, "GenerationChanged");
    client.property(cdsp_path, domain_interface, "State").wait();
    for (int i = 0; i < 1000; ++i) {
        system.remove_node("fastrpc-cdsp");
        system.add_node("fastrpc-cdsp");
    }
    EXPECT_TRUE(client.until([&] { return generations.texts.size() == 1000; })) << generations.texts.size();
    EXPECT_TRUE(has(dumped(client, "Generation"), "UINT64 1001"));
}

TEST(Devices, sessions_come_and_go_while_nodes_do) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.start_fastrpcd();
    Client client = system.client();
    for (unsigned i = 0; i < 20; ++i) {
        auto open = system.open_session(client);
        EXPECT_TRUE(has(dumped(client, "ContextsGranted"), "UINT32 4"));
        system.remove_node("fastrpc-cdsp");
        Description state = open.host.about();
        state.state = PdState::failed;
        state.reason = "the DSP restarted";
        Signals removed(client, "InterfacesRemoved");
        client.property(cdsp_path, domain_interface, "State").wait();
        ASSERT_TRUE(open.host.say(ControlOp::state, state));
        open.host.bye("the DSP restarted");
        ASSERT_TRUE(client.until([&] { return !removed.texts.empty(); }));
        system.add_node("fastrpc-cdsp");
    }
    ASSERT_TRUE(client.until([&] { return has(dumped(client, "Generation"), "UINT64 21"); }));
    EXPECT_TRUE(has(dumped(client, "SessionsUsed"), "UINT32 0"));
    EXPECT_TRUE(has(dumped(client, "ContextsLost"), "UINT32 0"));
}

TEST(Devices, lost_contexts_are_refused_with_their_number_and_come_back_with_the_dsp) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.start_fastrpcd();
    Client greedy = system.client(1); // its rule gives it all 222 lanes
    {
        auto open = system.open_session(greedy);
        Signals removed(greedy, "InterfacesRemoved");
        greedy.property(cdsp_path, domain_interface, "State").wait();
        ASSERT_TRUE(open.host.say(ControlOp::bye, ByeMessage{"a call did not end", {}, 2}));
        ASSERT_TRUE(greedy.until([&] { return !removed.texts.empty(); }));
    }
    EXPECT_TRUE(has(dumped(greedy, "ContextsLost"), "UINT32 2"));
    EXPECT_TRUE(has(dumped(greedy, "Problems"), "2 of its 255 call contexts are lost"));
    const Call::Answer refused = greedy.open("cdsp", "unsigned").wait();
    EXPECT_EQ(refused.error, "org.fastrpc1.Error.QuotaExceeded");
    EXPECT_TRUE(has(refused.text, "2 more are lost")) << refused.text;
    EXPECT_TRUE(has(refused.text, "only a restart of the DSP gives them back")) << refused.text;
    system.remove_node("fastrpc-cdsp");
    system.add_node("fastrpc-cdsp");
    ASSERT_TRUE(greedy.until([&] { return has(dumped(greedy, "ContextsLost"), "UINT32 0"); }));
    EXPECT_NO_THROW(system.open_session(greedy));
}

TEST(Devices, capabilities_are_told_by_name_and_only_those_that_are_known) {
    PrivateSystem system;
    Client client = system.client();
    FakeHost host = system.connect_control();
    Description about = root_of(Domain::cdsp);
    about.backend = "misc";
    about.profile = "misc 6.12";
    about.capabilities[1] = 1;
    about.capabilities[6] = 0x8768;
    ASSERT_EQ(host.described(about), 0U);
    const std::string text = dump(client.call(cdsp_path, domain_interface, "GetCapabilities").wait().message.get());
    EXPECT_TRUE(has(text, "\"unsigned-pd\"")) << text;
    EXPECT_TRUE(has(text, "\"architecture\"")) << text;
    EXPECT_TRUE(has(text, fmt::format("UINT32 {}", 0x8768))) << text;
    EXPECT_FALSE(has(text, "hvx-64b")) << text;
    EXPECT_TRUE(has(dumped(client, "Profile"), "misc 6.12"));
}

TEST(Devices, no_node_is_ever_opened) {
    PrivateSystem system({.start = false});
    const std::string dev = system.machine() / "dev", accel = dev + "/accel";
    system.add_node("fastrpc-cdsp");
    system.add_accel(0, "adsp");
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    for (const std::string& node : {dev + "/fastrpc-cdsp", accel + "/accel0"})
        ASSERT_GE(::inotify_add_watch(watch.get(), node.c_str(), IN_OPEN), 0);
    system.start_fastrpcd();
    Client client = system.client();
    const auto open = system.open_session(client);
    Signals changed(client, "PropertiesChanged");
    EXPECT_TRUE(has(dumped(client, "State"), "online"));
    system.add_node("fastrpc-cdsp-secure"); // news that makes it look again
    ASSERT_TRUE(client.until([&] { return !changed.texts.empty(); }));
    EXPECT_FALSE(readable(watch.get(), 0)) << "somebody has opened a node";
}

TEST(Devices, a_machine_whose_dev_goes_away_is_one_line_in_the_log) {
    PrivateSystem system;
    Client client = system.client();
    std::filesystem::remove_all(system.machine() / "dev");
    ASSERT_TRUE(client.until([&] {
        client.property("/org/fastrpc1", "org.fastrpc1.Manager", "State").wait();
        return has(system.log(), "no longer noticed");
    }));
}
