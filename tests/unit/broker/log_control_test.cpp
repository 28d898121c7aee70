// What fastrpcd logs can be changed while it runs, through the bus's own interface for it, by root.
#include "tests/unit/broker/private_system.hpp"

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;
constexpr const char* path = "/org/freedesktop/LogControl1";
constexpr const char* interface = "org.freedesktop.LogControl1";

std::string get(Client& client, const char* name) {
    const Call::Answer answer = client.property(path, interface, name).wait();
    const char* text = nullptr;
    if (!answer.error.empty() || ::sd_bus_message_read(answer.message.get(), "v", "s", &text) < 0)
        return "error: " + answer.text;
    return text;
}

/// Name of the error; empty on success.
std::string set(Client& client, const char* name, const char* value) {
    return client
        .call(path, "org.freedesktop.DBus.Properties", "Set",
              [&](sd_bus_message* call) { return ::sd_bus_message_append(call, "ssv", interface, name, "s", value); })
        .wait()
        .error;
}

} // namespace

TEST(LogControl, root_sets_the_level_and_everybody_reads_it) {
    PrivateSystem system;
    Client root = system.client(), other = system.client(nobody);
    EXPECT_EQ(get(other, "LogLevel"), "info");
    for (const char* level : {"debug", "warning", "err", "crit", "info"}) {
        EXPECT_EQ(set(root, "LogLevel", level), "") << level;
        EXPECT_EQ(get(other, "LogLevel"), level);
    }
    // Names of syslog that mean one of those.
    EXPECT_EQ(set(root, "LogLevel", "notice"), "");
    EXPECT_EQ(get(root, "LogLevel"), "warning");
}

TEST(LogControl, nobody_else_sets_it_and_nothing_else_is_set) {
    PrivateSystem system;
    Client root = system.client(), other = system.client(nobody);
    EXPECT_EQ(set(other, "LogLevel", "crit"), "org.freedesktop.DBus.Error.AccessDenied");
    EXPECT_EQ(set(root, "LogLevel", "chatty"), "org.freedesktop.DBus.Error.InvalidArgs");
    EXPECT_EQ(set(root, "LogTarget", "null"), "org.freedesktop.DBus.Error.PropertyReadOnly");
    EXPECT_EQ(get(other, "LogLevel"), "info");
    EXPECT_EQ(get(other, "LogTarget"), "console") << "this one was not started by systemd";
    EXPECT_EQ(get(other, "SyslogIdentifier"), "fastrpcd");
}

TEST(LogControl, what_is_below_the_level_is_not_logged) {
    PrivateSystem system;
    Client root = system.client();
    ASSERT_EQ(set(root, "LogLevel", "crit"), "");
    const auto told = [&] {
        system.ctl({"policy", "reload"});
        return system.log().find("policy revision ") != std::string::npos;
    };
    EXPECT_FALSE(told());
    EXPECT_NE(system.log().find("FASTRPC_METHOD=Manager.ReloadPolicy"), std::string::npos)
        << "the audit has levels of its own";
    ASSERT_EQ(set(root, "LogLevel", "info"), "");
    EXPECT_TRUE(told());
}
