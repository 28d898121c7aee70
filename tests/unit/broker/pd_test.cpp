// Static PDs over the bus: who may start and stop them, what their hosts say of files, and hosts that lie or say
// nothing.
#include "tests/unit/broker/signals.hpp"

#include <algorithm>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;
constexpr uid_t stranger = 2;
constexpr const char* pd_path = "/org/fastrpc1/domain/adsp/pd/root";
constexpr const char* pd_interface = "org.fastrpc1.ProtectionDomain";

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

FileReport missing(std::uint64_t sequence) {
    return {.sequence = sequence,
            .name = "lib\xff" + std::to_string(sequence) + ".so",
            .places = {"/a", "/b"},
            .problem = "not found",
            .refusals = 2,
            .last_us = 5};
}

Call get_files(Client& client, const std::string& path, const char* interface, std::uint64_t since) {
    return client.call(path, interface, "GetFiles",
                       [since](sd_bus_message* m) { return ::sd_bus_message_append(m, "t", since); });
}

class Pd : public testing::Test {
protected:
    PrivateSystem system;
    Client root = system.client();
    FakeHost host = system.connect_control();

    void SetUp() override { ASSERT_EQ(host.described(root_of(Domain::adsp)), 0U); }
    Call order(Client& client, const char* method) { return client.call(pd_path, pd_interface, method); }
    /// The next frame from fastrpcd: its cookie, when it asks for `since`.
    std::uint64_t asked(std::uint64_t since) {
        const auto frame = host.receive();
        if (!frame || frame->header.opcode != static_cast<std::uint16_t>(ControlOp::files)) return 0;
        EXPECT_EQ(decode<FilesRequest>(frame->payload).value_or(FilesRequest{~0ULL}).since, since);
        return frame->header.cookie;
    }
};

} // namespace

TEST_F(Pd, only_root_may_start_stop_or_restart_one) {
    Client other = system.client(nobody);
    for (const char* method : {"Start", "Stop", "Restart"}) {
        const Call::Answer refused = order(other, method).wait();
        EXPECT_EQ(refused.error, "org.fastrpc1.Error.AccessDenied") << method;
        EXPECT_TRUE(has(refused.text, "only root may")) << refused.text;
        EXPECT_TRUE(has(refused.text, "as root")) << refused.text;
    }
    EXPECT_FALSE(readable(host.socket.get(), 0)) << "the host must not have heard of it";
}

TEST_F(Pd, what_the_host_says_to_a_command_is_the_answer) {
    for (const auto& [method, action] :
         {std::pair("Start", PdAction::start), {"Stop", PdAction::stop}, {"Restart", PdAction::restart}}) {
        Call call = order(root, method);
        const auto frame = host.receive();
        ASSERT_TRUE(frame);
        ASSERT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::command));
        const auto command = decode<PdCommand>(frame->payload);
        ASSERT_TRUE(command);
        EXPECT_EQ(*command, (PdCommand{action, "uid 0 (root)"}));
        ASSERT_TRUE(host.send(ControlOp::command, {}, frame->header.cookie, true));
        EXPECT_EQ(call.wait().error, "") << method;
    }
    Call refused = order(root, "Stop");
    const auto frame = host.receive();
    ASSERT_TRUE(frame);
    ASSERT_TRUE(send_error(host.socket.get(), frame->header, {ErrorKind::timeout, 0, "the DSP keeps it"}));
    const Call::Answer answer = refused.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.Timeout");
    EXPECT_EQ(answer.text, "the DSP keeps it");
}

TEST_F(Pd, a_host_that_never_answers_is_a_timeout_and_holds_up_nobody) {
    Call stop = order(root, "Stop"), files = get_files(root, pd_path, pd_interface, 0);
    EXPECT_EQ(root.property(pd_path, pd_interface, "State").wait().error, "");
    EXPECT_FALSE(stop.answered());
    EXPECT_EQ(stop.wait().error, "org.fastrpc1.Error.Timeout");
    EXPECT_EQ(files.wait().error, "org.fastrpc1.Error.Timeout");
}

TEST_F(Pd, without_its_host_the_unit_to_start_is_named) {
    host.bye("gone");
    ASSERT_TRUE(at_end(host.socket.get()));
    for (const char* method : {"Start", "Stop", "Restart", "GetUsage"}) {
        const Call::Answer answer = order(root, method).wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.DomainOffline") << method;
        EXPECT_TRUE(has(answer.text, "systemctl start fastrpc-pd@adsp-root.service")) << answer.text;
    }
}

TEST_F(Pd, a_host_that_dies_over_a_command_is_told) {
    Call call = order(root, "Restart");
    ASSERT_TRUE(host.receive());
    host.socket.reset();
    EXPECT_EQ(call.wait().error, "org.fastrpc1.Error.GenerationLost");
}

TEST_F(Pd, counters_that_its_host_pushes_are_properties_and_one_signal) {
    Client other = system.client(stranger);
    Signals changed(other, "PropertiesChanged");
    ASSERT_TRUE(
        host.say(ControlOp::counters,
                 Counters{.files_served = 3, .bytes_served = 44, .files_missing = 1, .last_missing = "lib\x80"}));
    ASSERT_TRUE(other.until([&] { return !changed.texts.empty(); }));
    for (const char* part : {pd_path, "FilesServed", "BytesServed", "FilesMissing", "LastFileFailed", "lib?"})
        EXPECT_TRUE(has(changed.texts[0], part)) << part << changed.texts[0];
    EXPECT_FALSE(has(changed.texts[0], "Reason"));
    const Call::Answer answer = other.property(pd_path, pd_interface, "BytesServed").wait();
    std::uint64_t bytes = 0;
    ASSERT_GE(::sd_bus_message_read(answer.message.get(), "v", "t", &bytes), 0);
    EXPECT_EQ(bytes, 44U);
    EXPECT_EQ(changed.texts.size(), 1U);
}

TEST_F(Pd, everybody_may_read_what_the_dsp_opened_and_missed) {
    Client other = system.client(stranger);
    Call call = get_files(other, pd_path, pd_interface, 7);
    const std::uint64_t cookie = asked(7);
    ASSERT_NE(cookie, 0U);
    ASSERT_TRUE(host.send(ControlOp::files, encode(FilesPage{true, {missing(8), missing(12)}}), cookie, true));
    const Call::Answer answer = call.wait();
    ASSERT_EQ(answer.error, "") << answer.text;
    EXPECT_STREQ(::sd_bus_message_get_signature(answer.message.get(), 1), "a(tsassttttt)b");
    const std::string text = dump(answer.message.get());
    for (const char* part : {"UINT64 8", "UINT64 12", "lib?12.so", "not found", "/b", "BOOLEAN true"})
        EXPECT_TRUE(has(text, part)) << part << text;
}

TEST_F(Pd, a_host_that_lies_about_files_loses_its_connection_and_the_asker_hears_of_it) {
    struct Lie {
        ControlOp op;
        std::vector<std::byte> payload;
    };
    for (const Lie& lie :
         {Lie{ControlOp::files, std::vector<std::byte>(9)}, Lie{ControlOp::files, encode(FilesPage{true, {}})},
          Lie{ControlOp::files, encode(FilesPage{false, {missing(5)}})}, // told before
          Lie{ControlOp::query, encode(Counters{})}}) {
        Call call = get_files(root, pd_path, pd_interface, 5);
        const std::uint64_t cookie = asked(5);
        ASSERT_NE(cookie, 0U);
        ASSERT_TRUE(host.send(lie.op, lie.payload, cookie, true));
        EXPECT_TRUE(has(call.wait().error, "org.fastrpc1.Error."));
        EXPECT_TRUE(at_end(host.socket.get()));
        host = system.connect_control();
        ASSERT_EQ(host.described(root_of(Domain::adsp)), 0U);
    }
    ASSERT_TRUE(host.say(ControlOp::counters, PdCommand{})); // nor are these counters
    EXPECT_TRUE(at_end(host.socket.get()));
}

TEST_F(Pd, one_user_s_flood_of_questions_leaves_room_for_others) {
    Client flooder = system.client(stranger);
    std::vector<Call> calls;
    for (int i = 0; i < 20; ++i) calls.push_back(get_files(flooder, pd_path, pd_interface, 0));
    EXPECT_EQ(calls.back().wait().error, "org.fastrpc1.Error.Busy");
    Call mine = get_files(root, pd_path, pd_interface, 3);
    for (int i = 0; i < 8; ++i) EXPECT_NE(asked(0), 0U);
    const std::uint64_t cookie = asked(3);
    ASSERT_NE(cookie, 0U);
    ASSERT_TRUE(host.send(ControlOp::files, encode(FilesPage{}), cookie, true));
    EXPECT_EQ(mine.wait().error, "");
}

TEST_F(Pd, the_files_of_a_session_are_for_its_owner_and_root) {
    Client owner = system.client(nobody), other = system.client(stranger);
    auto open = system.open_session(owner);
    for (Client* client : {&owner, &root}) {
        Call call = get_files(*client, open.path, "org.fastrpc1.Session", 0);
        const auto frame = open.host.receive();
        ASSERT_TRUE(frame);
        ASSERT_TRUE(
            open.host.send(ControlOp::files, encode(FilesPage{false, {missing(1)}}), frame->header.cookie, true));
        EXPECT_EQ(call.wait().error, "");
    }
    EXPECT_EQ(get_files(other, open.path, "org.fastrpc1.Session", 0).wait().error,
              "org.freedesktop.DBus.Error.UnknownObject");
}
