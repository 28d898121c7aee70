// Who calls, by a bus that the test plays: what it says is believed, once per name and as long as the name is there.
#include "broker/identities.hpp"
#include "tests/unit/broker/loop.hpp"

#include <cstring>
#include <functional>
#include <sys/socket.h>
#include <sys/uio.h>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class Identity : public testing::Test {
protected:
    Loop loop;
    sd_bus *server = nullptr, *client = nullptr; ///< the bus, and fastrpcd's connection to it
    std::function<int(sd_bus_message*)> says;    ///< the entries of the answer
    int questions = 0;
    std::vector<std::string> vanished;
    std::unique_ptr<Identities> identities;

    static sd_bus* connect(sd_event* loop, int fd, bool is_server) {
        sd_bus* bus = nullptr;
        ::sd_bus_new(&bus);
        ::sd_bus_set_fd(bus, fd, fd);
        sd_id128_t id{};
        id.bytes[0] = 1;
        if (is_server) ::sd_bus_set_server(bus, 1, id);
        EXPECT_GE(::sd_bus_start(bus), 0);
        ::sd_bus_attach_event(bus, loop, 0);
        return bus;
    }
    void SetUp() override {
        int pair[2] = {-1, -1};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        server = connect(loop, pair[0], true);
        client = connect(loop, pair[1], false);
        const auto answer = [](sd_bus_message* call, void* self, sd_bus_error*) {
            auto& test = *static_cast<Identity*>(self);
            if (::sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "GetConnectionCredentials") <= 0)
                return 0;
            ++test.questions;
            sd_bus_message* reply = nullptr;
            ::sd_bus_message_new_method_return(call, &reply);
            ::sd_bus_message_open_container(reply, 'a', "{sv}");
            EXPECT_GE(test.says(reply), 0);
            ::sd_bus_message_close_container(reply);
            EXPECT_GE(::sd_bus_send(nullptr, reply, nullptr), 0);
            ::sd_bus_message_unref(reply);
            return 1;
        };
        ASSERT_GE(::sd_bus_add_filter(server, nullptr, answer, this), 0);
        identities =
            std::make_unique<Identities>(client, [this](const std::string& name) { vanished.push_back(name); });
        ASSERT_TRUE(identities->start());
    }
    void TearDown() override {
        identities.reset();
        for (sd_bus* bus : {client, server}) {
            ::sd_bus_detach_event(bus);
            ::sd_bus_close_unref(bus);
        }
    }
    static int say_ids(sd_bus_message* to, std::uint32_t uid, std::uint32_t gid) {
        return ::sd_bus_message_append(to, "{sv}{sv}", "UnixUserID", "u", uid, "UnixGroupIDs", "au", 1, gid);
    }
    static int say_label(sd_bus_message* to, const std::string& label, std::size_t zeros = 1) {
        ::sd_bus_message_open_container(to, 'e', "sv");
        ::sd_bus_message_append(to, "s", "LinuxSecurityLabel");
        ::sd_bus_message_open_container(to, 'v', "ay");
        std::string bytes = label + std::string(zeros, '\0');
        ::sd_bus_message_append_array(to, 'y', bytes.data(), bytes.size());
        ::sd_bus_message_close_container(to);
        return ::sd_bus_message_close_container(to);
    }
    const Subject* look_up(const std::string& name) {
        bool answered = false;
        EXPECT_TRUE(identities->look_up(name, [&](const Status&) { answered = true; }));
        EXPECT_TRUE(loop.until([&] { return answered; }));
        return identities->find(name);
    }
    void end_name(const char* name) {
        sd_bus_message* signal = nullptr;
        ::sd_bus_message_new_signal(server, &signal, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                    "NameOwnerChanged");
        ::sd_bus_message_set_sender(signal, "org.freedesktop.DBus");
        ::sd_bus_message_append(signal, "sss", name, name, "");
        EXPECT_GE(::sd_bus_send(server, signal, nullptr), 0);
        ::sd_bus_message_unref(signal);
    }
};

} // namespace

TEST_F(Identity, is_uid_groups_and_label_as_the_bus_gives_them) {
    says = [](sd_bus_message* to) {
        say_ids(to, 100500, 100007);
        ::sd_bus_message_append(to, "{sv}", "ProcessID", "u", 1U);
        return say_label(to, "app:camera (enforce)");
    };
    const Subject* who = look_up(":1.7");
    ASSERT_NE(who, nullptr);
    EXPECT_EQ(who->uid, 100500U);
    EXPECT_EQ(who->gids, std::vector<std::uint32_t>{100007});
    EXPECT_EQ(who->label, "app:camera (enforce)") << "without the zero at its end";
}

TEST_F(Identity, has_no_label_where_the_bus_knows_none) {
    says = [](sd_bus_message* to) { return say_ids(to, 5, 5); };
    ASSERT_NE(look_up(":1.7"), nullptr);
    EXPECT_EQ(identities->find(":1.7")->label, "");
}

TEST_F(Identity, is_none_without_uid_or_groups) {
    says = [](sd_bus_message* to) { return ::sd_bus_message_append(to, "{sv}", "UnixUserID", "u", 5U); };
    EXPECT_EQ(look_up(":1.7"), nullptr);
    says = [](sd_bus_message* to) { return ::sd_bus_message_append(to, "{sv}", "UnixGroupIDs", "au", 1, 5U); };
    EXPECT_EQ(look_up(":1.7"), nullptr);
}

TEST_F(Identity, is_asked_once_per_name_and_forgotten_when_the_name_goes) {
    std::uint32_t uid = 5;
    says = [&](sd_bus_message* to) { return say_ids(to, uid, 5); };
    ASSERT_NE(look_up(":1.7"), nullptr);
    ASSERT_NE(look_up(":1.8"), nullptr);
    EXPECT_EQ(questions, 2);
    uid = 6;
    EXPECT_EQ(identities->find(":1.7")->uid, 5U) << "what is known stays, whatever the bus would say now";
    end_name(":1.7");
    ASSERT_TRUE(loop.until([&] { return !vanished.empty(); }));
    EXPECT_EQ(vanished, std::vector<std::string>{":1.7"});
    EXPECT_EQ(identities->find(":1.7"), nullptr);
    EXPECT_NE(identities->find(":1.8"), nullptr);
    ASSERT_NE(look_up(":1.7"), nullptr);
    EXPECT_EQ(identities->find(":1.7")->uid, 6U);
}
