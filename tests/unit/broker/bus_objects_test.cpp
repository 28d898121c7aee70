// What the bus shows: sessions to their owners, domains and PDs to all, changes as signals.
#include "tests/unit/broker/signals.hpp"

#include <algorithm>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;
constexpr uid_t stranger = 2;
constexpr const char* root_path = "/org/fastrpc1";
constexpr const char* session_interface = "org.fastrpc1.Session";

using Answer = Call::Answer;

std::vector<std::string> listed(Client& client) {
    const Answer answer = client.call(root_path, "org.fastrpc1.Manager", "ListSessions").wait();
    std::vector<std::string> paths;
    ::sd_bus_message_enter_container(answer.message.get(), 'a', "(osus)");
    const char *path = nullptr, *domain = nullptr, *state = nullptr;
    std::uint32_t uid = 0;
    while (::sd_bus_message_read(answer.message.get(), "(osus)", &path, &domain, &uid, &state) > 0)
        paths.emplace_back(path);
    return paths;
}

std::string managed(Client& client) {
    return dump(client.call(root_path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects").wait().message.get());
}

std::string text_property(Client& client, const std::string& path, const std::string& interface, const char* name) {
    const Answer answer = client.property(path, interface, name).wait();
    const char* text = nullptr;
    if (!answer.error.empty() || ::sd_bus_message_read(answer.message.get(), "v", "s", &text) < 0)
        return "error: " + answer.text;
    return text;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

} // namespace

TEST(BusObjects, a_session_is_there_for_its_owner_and_root_alone) {
    PrivateSystem system;
    Client owner = system.client(nobody), other = system.client(stranger), root = system.client();
    auto open = system.open_session(owner);
    EXPECT_EQ(listed(owner), std::vector<std::string>{open.path});
    EXPECT_EQ(listed(root), std::vector<std::string>{open.path});
    EXPECT_TRUE(listed(other).empty());
    EXPECT_TRUE(has(managed(owner), open.path));
    EXPECT_TRUE(has(managed(root), open.path));
    EXPECT_FALSE(has(managed(other), open.path));
    EXPECT_EQ(text_property(owner, open.path, session_interface, "State"), "ready");
    EXPECT_EQ(text_property(root, open.path, session_interface, "Rule"), "unsigned-for-some");
    for (const char* method : {"Close", "GetUsage"})
        EXPECT_EQ(other.call(open.path, session_interface, method).wait().error,
                  "org.freedesktop.DBus.Error.UnknownObject")
            << method;
    EXPECT_NE(other.property(open.path, session_interface, "Label").wait().error, "");
    EXPECT_FALSE(readable(open.host.socket.get(), 0)) << "the host must not have heard of the stranger";
}

TEST(BusObjects, the_label_is_never_broadcast) {
    PrivateSystem system;
    Client owner = system.client(nobody), other = system.client(stranger);
    Signals added(other, "InterfacesAdded");
    Call call = owner.open("cdsp", "unsigned", [](sd_bus_message* m) {
        return ::sd_bus_message_append(m, "{sv}", "label", "s", "secret-project");
    });
    FakeHost host = system.next_host();
    host.ready();
    const Answer answer = call.wait();
    const char* path = nullptr;
    ::sd_bus_message_read(answer.message.get(), "o", &path);
    ASSERT_TRUE(
        other.until([&] { return std::ranges::any_of(added.texts, [&](const auto& t) { return has(t, path); }); }));
    for (const std::string& text : added.texts) EXPECT_FALSE(has(text, "secret-project")) << text;
    EXPECT_EQ(text_property(owner, path, session_interface, "Label"), "secret-project");
}

TEST(BusObjects, close_ends_the_session_through_its_host) {
    PrivateSystem system;
    Client owner = system.client(nobody);
    Signals removed(owner, "InterfacesRemoved"), lost(owner, "Lost");
    auto open = system.open_session(owner);
    EXPECT_EQ(owner.call(open.path, session_interface, "Close").wait().error, "");
    const auto frame = open.host.receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
    EXPECT_EQ(text_property(owner, open.path, session_interface, "State"), "closing");
    open.host.bye("closed");
    EXPECT_TRUE(owner.until(
        [&] { return std::ranges::any_of(removed.texts, [&](const auto& t) { return has(t, open.path); }); }));
    EXPECT_TRUE(listed(owner).empty());
    EXPECT_TRUE(lost.texts.empty());
}

TEST(BusObjects, root_may_close_the_session_of_another) {
    PrivateSystem system;
    Client owner = system.client(nobody), root = system.client();
    auto open = system.open_session(owner);
    EXPECT_EQ(root.call(open.path, session_interface, "Close").wait().error, "");
    EXPECT_TRUE(open.host.receive());
}

TEST(BusObjects, a_lost_session_is_told_to_its_owner_and_nobody_else) {
    PrivateSystem system;
    Client owner = system.client(nobody), other = system.client(stranger);
    Signals mine(owner, "Lost"), theirs(other, "Lost"), removed(other, "InterfacesRemoved");
    auto open = system.open_session(owner);
    Description state = open.host.about();
    state.state = PdState::failed;
    state.generation = 9;
    state.reason = "the PD crashed";
    ASSERT_TRUE(open.host.say(ControlOp::state, state));
    ASSERT_TRUE(owner.until([&] { return !mine.texts.empty(); }));
    EXPECT_TRUE(has(mine.texts[0], "the PD crashed"));
    EXPECT_TRUE(has(mine.texts[0], "UINT64 9"));
    EXPECT_EQ(text_property(owner, open.path, session_interface, "State"), "lost");
    open.host.bye("over");
    ASSERT_TRUE(other.until([&] { return !removed.texts.empty(); }));
    EXPECT_TRUE(theirs.texts.empty());
    EXPECT_EQ(mine.texts.size(), 1U);
}

TEST(BusObjects, usage_comes_from_the_host) {
    PrivateSystem system;
    Client owner = system.client(nobody);
    auto open = system.open_session(owner);
    Call call = owner.call(open.path, session_interface, "GetUsage");
    ASSERT_TRUE(
        open.host.answer_query({.calls = 12345, .files_missing = 1, .last_missing = "libgone.so", .p99_us = 678}));
    const std::string usage = dump(call.wait().message.get());
    for (const char* part :
         {"UINT64 12345", "libgone.so", "UINT32 678", "mapped-bytes", "p50-us", "bytes-served", "failed-calls"})
        EXPECT_TRUE(has(usage, part)) << part << "\n" << usage;
}

TEST(BusObjects, a_silent_host_delays_only_who_asks_it) {
    PrivateSystem system;
    Client owner = system.client(nobody), other = system.client();
    auto open = system.open_session(owner);
    Call call = owner.call(open.path, session_interface, "GetUsage");
    ASSERT_TRUE(readable(open.host.socket.get()));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(listed(other).size(), 1U);
    EXPECT_FALSE(call.answered());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
    EXPECT_EQ(call.wait().error, "org.fastrpc1.Error.Timeout");
}

TEST(BusObjects, domains_and_static_pds_appear_with_their_hosts_and_follow_them) {
    PrivateSystem system;
    Client client = system.client(stranger);
    Signals added(client, "InterfacesAdded"), changed(client, "PropertiesChanged");
    EXPECT_FALSE(has(managed(client), "/org/fastrpc1/domain/adsp"));
    FakeHost host = system.connect_control();
    ASSERT_EQ(host.described(root_of(Domain::adsp)), 0U);
    const std::string domain = "/org/fastrpc1/domain/adsp", pd = domain + "/pd/root";
    ASSERT_TRUE(client.until([&] { return added.texts.size() == 2; }));
    EXPECT_TRUE(has(managed(client), pd));
    EXPECT_EQ(text_property(client, domain, "org.fastrpc1.Domain", "State"), "online");
    EXPECT_EQ(text_property(client, domain, "org.fastrpc1.Domain", "Backend"), "") << "no host has said";
    EXPECT_EQ(text_property(client, pd, "org.fastrpc1.ProtectionDomain", "State"), "running");
    EXPECT_EQ(text_property(client, pd, "org.fastrpc1.ProtectionDomain", "Node"), "/dev/fastrpc-x");
    EXPECT_NE(client.property(domain + "/pd/audio", "org.fastrpc1.ProtectionDomain", "State").wait().error, "");

    Description news = root_of(Domain::adsp, PdState::restarting);
    news.reason = "the DSP restarted";
    ASSERT_TRUE(host.say(ControlOp::state, news));
    ASSERT_TRUE(client.until([&] { return changed.texts.size() >= 2; }));
    EXPECT_EQ(text_property(client, pd, "org.fastrpc1.ProtectionDomain", "Reason"), "the DSP restarted");
    EXPECT_EQ(text_property(client, domain, "org.fastrpc1.Domain", "State"), "recovering");
    host.socket.reset();
    ASSERT_TRUE(client.until([&] { return changed.texts.size() >= 4; }));
    EXPECT_EQ(text_property(client, pd, "org.fastrpc1.ProtectionDomain", "State"), "stopped");
    EXPECT_EQ(client.call(pd, "org.fastrpc1.ProtectionDomain", "GetUsage").wait().error,
              "org.fastrpc1.Error.DomainOffline");
}

TEST(BusObjects, a_domain_does_not_appear_for_a_session_that_failed) {
    PrivateSystem system;
    Client client = system.client(nobody);
    Call call = client.open("cdsp", "unsigned");
    system.next_host().say(ControlOp::failed, FailedMessage{ErrorKind::no_domain, ENOENT, "no node"});
    EXPECT_NE(call.wait().error, "");
    EXPECT_FALSE(has(managed(client), "/org/fastrpc1/domain/cdsp"));
}

TEST(BusObjects, explaining_is_free_about_oneself_and_roots_alone_about_others) {
    PrivateSystem system;
    const auto explain = [](Client& client, const char* pd, const Client::Fill& subject = {}) {
        return client
            .call(root_path, "org.fastrpc1.Manager", "ExplainAccess",
                  [&](sd_bus_message* m) {
                      ::sd_bus_message_append(m, "ss", "cdsp", pd);
                      ::sd_bus_message_open_container(m, 'a', "{sv}");
                      if (subject) subject(m);
                      return ::sd_bus_message_close_container(m);
                  })
            .wait();
    };
    const auto allowed = [](const Answer& answer) {
        int yes = -1;
        ::sd_bus_message_read(answer.message.get(), "b", &yes);
        return yes;
    };
    const auto uid = [](std::uint32_t number) {
        return [number](sd_bus_message* m) { return ::sd_bus_message_append(m, "{sv}", "uid", "u", number); };
    };
    Client user = system.client(nobody), root = system.client();
    EXPECT_EQ(allowed(explain(user, "unsigned")), 1);
    const Answer denied = explain(user, "signed");
    EXPECT_EQ(allowed(denied), 0);
    EXPECT_TRUE(has(dump(denied.message.get()), "50-test.json"));
    EXPECT_TRUE(has(dump(denied.message.get()), "nothing-signed"));
    EXPECT_EQ(allowed(explain(user, "unsigned", uid(nobody))), 1);
    EXPECT_EQ(explain(user, "unsigned", uid(0)).error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_EQ(explain(user, "unsigned",
                      [](sd_bus_message* m) { return ::sd_bus_message_append(m, "{sv}", "gids", "au", 1, 0); })
                  .error,
              "org.fastrpc1.Error.AccessDenied")
        << "nobody may claim groups";
    EXPECT_EQ(allowed(explain(root, "unsigned", uid(nobody))), 1);
    EXPECT_EQ(allowed(explain(root, "unsigned", uid(4242))), 0);
    EXPECT_EQ(
        explain(root, "unsigned", [](sd_bus_message* m) { return ::sd_bus_message_append(m, "{sv}", "pid", "u", 1); })
            .error,
        "org.fastrpc1.Error.InvalidArgs");
    EXPECT_EQ(explain(root, "nothing").error, "org.fastrpc1.Error.NoSuchPd");
}

TEST(BusObjects, stats_sum_over_what_was_and_what_is) {
    PrivateSystem system;
    Client client = system.client(nobody);
    auto first = system.open_session(client);
    first.host.bye("done", {.calls = 30, .files_served = 2});
    ASSERT_TRUE(at_end(first.host.socket.get()));
    auto second = system.open_session(client);
    client.open("cdsp", "signed").wait();
    Call call = client.call(root_path, "org.fastrpc1.Manager", "GetStats");
    ASSERT_TRUE(second.host.answer_query({.calls = 12}));
    sd_bus_message* stats = call.wait().message.get();
    const std::string text = dump(stats);
    std::uint64_t value = 0;
    std::map<std::string, std::uint64_t> numbers;
    ::sd_bus_message_rewind(stats, 1);
    ::sd_bus_message_enter_container(stats, 'a', "{sv}");
    const char* key = nullptr;
    while (::sd_bus_message_read(stats, "{sv}", &key, "t", &value) > 0) numbers[key] = value;
    EXPECT_EQ(numbers["calls"], 42U) << text;
    EXPECT_EQ(numbers["files-served"], 2U) << text;
    EXPECT_EQ(numbers["sessions-opened"], 2U) << text;
    EXPECT_EQ(numbers["sessions-refused"], 1U) << text;
}

TEST(BusObjects, everything_can_be_introspected) {
    PrivateSystem system;
    Client owner = system.client(nobody);
    const auto open = system.open_session(owner);
    for (const auto& [path, part] : {std::pair<std::string, std::string>(root_path, "OpenSession"),
                                     {open.path, "GetUsage"},
                                     {"/org/fastrpc1/domain/cdsp", "UnsignedSupported"}}) {
        const Answer answer = owner.call(path, "org.freedesktop.DBus.Introspectable", "Introspect").wait();
        const char* xml = "";
        ::sd_bus_message_read(answer.message.get(), "s", &xml);
        EXPECT_TRUE(has(xml, part)) << path << xml;
    }
}
