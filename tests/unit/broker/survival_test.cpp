// fastrpcd comes, goes and is killed; hosts and sessions stay.
#include "base/message_ids.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ipc/wire.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::test::read_wire;

namespace {

constexpr uid_t nobody = 65534;

std::string session_state(Client& client, const std::string& path, const char* property) {
    const Call::Answer answer = client.property(path, "org.fastrpc1.Session", property).wait();
    const char* text = nullptr;
    if (!answer.error.empty() || ::sd_bus_message_read(answer.message.get(), "v", "s", &text) < 0) return answer.error;
    return text;
}

} // namespace

TEST(Survival, a_killed_fastrpcd_lists_a_session_again_when_its_host_comes_back) {
    PrivateSystem system;
    Client client = system.client(nobody);
    Call call = client.open("cdsp", "unsigned", [](sd_bus_message* m) {
        return ::sd_bus_message_append(m, "{sv}", "label", "s", "survivor");
    });
    FakeHost host = system.next_host();
    host.ready();
    const Call::Answer answer = call.wait();
    const char* path = nullptr;
    ASSERT_GT(::sd_bus_message_read(answer.message.get(), "o", &path), 0);
    system.kill_fastrpcd(SIGKILL);
    ASSERT_TRUE(at_end(host.socket.get()));
    EXPECT_FALSE(readable(host.session.get(), 0)) << "the session itself goes on";

    FakeHost again = system.connect_control(); // waits in the queue of the socket
    ASSERT_TRUE(again.say(ControlOp::describe, host.about(), 5));
    system.start_fastrpcd();
    const auto accepted = again.receive();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->header.status, 0U);
    Client later = system.client(nobody);
    EXPECT_EQ(session_state(later, path, "State"), "ready");
    EXPECT_EQ(session_state(later, path, "Label"), "survivor");
    Call usage = later.call(path, "org.fastrpc1.Session", "GetUsage");
    EXPECT_TRUE(again.answer_query({.calls = 5}));
    EXPECT_EQ(usage.wait().error, "");
    again.bye("done");
    ASSERT_TRUE(at_end(again.socket.get()));
    EXPECT_NE(session_state(later, path, "State"), "ready");
}

// No program of ours is in it: the frames are those that were recorded when the version was released.
TEST(Survival, a_recorded_host_of_each_version_is_adopted_and_understood) {
    PrivateSystem system;
    for (std::uint16_t version = 1; version <= control_newest; ++version) {
        SCOPED_TRACE(version);
        const auto frozen = read_wire(version);
        FakeHost host = system.connect_control();
        host.version = version;
        ASSERT_TRUE(host.send(ControlOp::describe, frozen.at("describe.session"), 5));
        const auto accepted = host.receive();
        ASSERT_TRUE(accepted);
        EXPECT_EQ(accepted->header.version, version);
        EXPECT_EQ(accepted->header.status, 0U);
        Client root = system.client();
        const std::string path = "/org/fastrpc1/session/s000000000000004d";
        EXPECT_EQ(session_state(root, path, "State"), "ready");
        EXPECT_EQ(session_state(root, path, "Label"), "b\u00fcro");
        EXPECT_EQ(session_state(root, path, "HostVersion"), version < 2 ? "" : "1.2.3");
        Call usage = root.call(path, "org.fastrpc1.Session", "GetUsage");
        const auto query = host.receive();
        ASSERT_TRUE(query);
        EXPECT_EQ(query->header.version, version);
        ASSERT_EQ(query->header.opcode, static_cast<std::uint16_t>(ControlOp::query));
        ASSERT_TRUE(host.send(ControlOp::query, frozen.at("counters"), query->header.cookie, true));
        EXPECT_EQ(usage.wait().error, "");
        EXPECT_EQ(root.call(path, "org.fastrpc1.Session", "Close").wait().error, "");
        const auto end = host.receive();
        ASSERT_TRUE(end);
        EXPECT_EQ(end->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
        EXPECT_EQ(end->header.version, version);
        EXPECT_TRUE(decode<TerminateMessage>(end->payload, version));
        ASSERT_TRUE(host.send(ControlOp::bye, frozen.at("bye")));
        EXPECT_TRUE(at_end(host.socket.get()));
    }
}

TEST(Survival, it_makes_its_own_control_socket_where_no_one_passes_one_and_replaces_a_dead_one) {
    PrivateSystem system({.socket_activated = false});
    FakeHost first = system.connect_control();
    EXPECT_EQ(first.described(root_of(Domain::adsp)), 0U);
    system.kill_fastrpcd(SIGKILL);
    system.start_fastrpcd();
    FakeHost second = system.connect_control();
    EXPECT_EQ(second.described(root_of(Domain::adsp)), 0U);
    EXPECT_EQ(system.stop_fastrpcd(), 0);
    EXPECT_FALSE(std::filesystem::exists(system.directory() / "control.sock"));
}

TEST(Survival, garbage_on_the_control_socket_drops_that_connection_alone) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const auto open = system.open_session(client);
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::cdsp)), 0U);
    for (const std::string& garbage : {std::string("x"), std::string(40, '\0'), std::string(20000, 'y')}) {
        FakeHost bad = system.connect_control();
        ASSERT_GT(::send(bad.socket.get(), garbage.data(), garbage.size(), 0), 0);
        EXPECT_TRUE(at_end(bad.socket.get()));
    }
    FakeHost duplicate = system.connect_control();
    EXPECT_NE(duplicate.described(root_of(Domain::cdsp)).value_or(0), 0U);
    EXPECT_EQ(session_state(client, open.path, "State"), "ready");
    EXPECT_FALSE(readable(pd.socket.get(), 0));
}

TEST(Survival, sigterm_ends_it_cleanly) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const auto open = system.open_session(client);
    Call half_way = client.open("cdsp", "unsigned");
    const FakeHost host = system.next_host();
    EXPECT_EQ(system.stop_fastrpcd(), 0);
    EXPECT_FALSE(readable(open.host.session.get(), 0)) << "a session outlives it";
    EXPECT_TRUE(at_end(host.session.get())) << "half a session does not";
    const std::string log = system.log();
    EXPECT_EQ(std::ranges::count(log, '\n'), 2) << log << "a healthy fastrpcd says nothing";
    EXPECT_NE(log.find("info: this machine has no DSP"), std::string::npos) << log << "but that";
    EXPECT_NE(log.find(message_id::session_allowed), std::string::npos) << log << "and who got a session";
}

TEST(Survival, a_second_fastrpcd_ends_with_one_line_and_disturbs_nobody) {
    PrivateSystem system;
    const Outcome second = system.second_fastrpcd();
    EXPECT_EQ(second.code, 1);
    EXPECT_EQ(std::ranges::count(second.errors, '\n'), 1) << second.errors;
    EXPECT_NE(second.errors.find("another fastrpcd already owns org.fastrpc1 (pid "), std::string::npos)
        << second.errors;
    Client client = system.client(nobody);
    EXPECT_NO_THROW(system.open_session(client));
}

TEST(Survival, without_a_policy_file_it_warns_once_and_denies_everything) {
    PrivateSystem system({.policy = ""});
    EXPECT_EQ(std::ranges::count(system.log(), '\n'), 2) << system.log() << "that, and that there is no DSP";
    EXPECT_NE(system.log().find("warning: policy: no policy file"), std::string::npos) << system.log();
    Client root = system.client();
    EXPECT_EQ(root.open("cdsp", "unsigned").wait().error, "org.fastrpc1.Error.AccessDenied");
}

TEST(Survival, a_broken_policy_file_is_one_line_with_its_place) {
    PrivateSystem system({.policy = "{\n  \"rules\": [ oops ]\n}", .start = false});
    const Outcome outcome = system.second_fastrpcd();
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1) << outcome.errors;
    EXPECT_NE(outcome.errors.find("50-test.json:2"), std::string::npos) << outcome.errors;
}

TEST(Survival, five_hundred_sessions_leave_no_fd_behind) {
    PrivateSystem system;
    const auto open_fds = [&] {
        const std::filesystem::path fds = "/proc/" + std::to_string(system.fastrpcd()) + "/fd";
        return std::distance(std::filesystem::directory_iterator(fds), {});
    };
    Client client = system.client(nobody);
    const auto once = [&] {
        auto open = system.open_session(client);
        open.host.bye("done");
        EXPECT_TRUE(at_end(open.host.socket.get()));
    };
    once();
    const auto before = open_fds();
    for (int i = 0; i < 500; ++i) once();
    EXPECT_EQ(open_fds(), before);
}
