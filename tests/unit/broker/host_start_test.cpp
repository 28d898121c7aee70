// Starting a host: what it is told, when the opener hears of it, and that nothing stays behind.
#include "broker/control_listener.hpp"
#include "broker/host_start.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/fake_host.hpp"
#include "tests/unit/broker/loop.hpp"

#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class HostStartTest : public testing::Test {
protected:
    Loop loop;
    Quotas quotas;
    fastrpc::test::Scratch scratch;
    UniqueFd listener;
    ReadyHosts hosts{loop, socket_path(), 0};
    std::optional<Result<StartedHost>> result;
    bool over = false;
    std::unique_ptr<HostStart> start;

    void SetUp() override {
        auto socket = listen_on(socket_path());
        ASSERT_TRUE(socket) << socket.error().text;
        listener = std::move(*socket);
    }
    [[nodiscard]] std::string socket_path() const { return scratch.path("session.sock"); }

    void begin(std::chrono::milliseconds timeout = 10s) { begin(timeout, hosts); }
    void begin(std::chrono::milliseconds timeout, ReadyHosts& from, PdKind kind = PdKind::unsigned_user) {
        HostOrder order{
            .hosts = from,
            .message = {
                .session_id = 5, .kind = kind, .owner_uid = 1000, .label = "mine", .grant = session_of(5, 1000).grant}};
        auto directories = std::make_shared<std::vector<UniqueFd>>();
        directories->push_back(scratch.fd());
        order.directories = std::move(directories);
        order.charges = {quotas.sessions.record(1, 1), quotas.lanes.record(3, 4)};
        order.open_charges.push_back(quotas.opens.record(1000, 1));
        start = std::make_unique<HostStart>(
            loop, std::move(order),
            HostStart::Events{.done = [this](Result<StartedHost> host) { result = std::move(host); },
                              .over =
                                  [this] {
                                      over = true;
                                      start.reset();
                                  }},
            timeout);
    }
    FakeHost accept() {
        EXPECT_TRUE(loop.until([&] { return readable(listener.get(), 0); }));
        return FakeHost(UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    }
    /// The one that waits for the next order.
    FakeHost waiting(ReadyHosts& keeping) {
        EXPECT_TRUE(keeping.take()); // the first is started for who asks
        accept();
        EXPECT_TRUE(loop.until([&] { return keeping.waiting() == 1; }));
        return accept();
    }
    [[nodiscard]] std::size_t charges() const {
        return quotas.sessions.keys() + quotas.lanes.keys() + quotas.opens.keys();
    }
};

} // namespace

TEST_F(HostStartTest, kinds_that_may_need_a_capability_get_a_host_that_has_it_where_there_is_one) {
    for (const PdKind kind : all_pd_kinds) {
        if (is_static(kind)) continue; // they are nobody's sessions
        auto privileged = listen_on(scratch.path("session-privileged.sock"));
        ASSERT_TRUE(privileged) << privileged.error().text;
        begin(10s, hosts, kind);
        const bool wanted = kind == PdKind::signed_user;
        const UniqueFd& at = wanted ? *privileged : listener;
        EXPECT_TRUE(loop.until([&] { return readable(at.get(), 0); })) << to_string(kind);
        EXPECT_FALSE(readable(wanted ? listener.get() : privileged->get(), 0)) << to_string(kind);
        FakeHost host(UniqueFd(::accept4(at.get(), nullptr, nullptr, SOCK_CLOEXEC)));
        EXPECT_TRUE(host.receive_start()) << to_string(kind);
        start.reset();
        privileged->reset();
        // The name that a stopped socket leaves is no socket.
        begin(10s, hosts, kind);
        EXPECT_TRUE(accept().receive_start()) << to_string(kind);
        start.reset();
        std::filesystem::remove(scratch.path("session-privileged.sock"));
    }
}

TEST_F(HostStartTest, the_host_gets_the_grant_its_socket_and_the_directories) {
    begin();
    FakeHost host = accept();
    ASSERT_TRUE(host.receive_start());
    EXPECT_EQ(host.start.session_id, 5U);
    EXPECT_EQ(host.start.label, "mine");
    EXPECT_EQ(host.start.grant, session_of(5, 1000).grant);
    ASSERT_EQ(host.directories.size(), 1U);
    struct stat sent {
    }, mine{};
    ::fstat(host.directories[0].get(), &sent);
    ::stat(scratch.path().c_str(), &mine);
    EXPECT_EQ(sent.st_ino, mine.st_ino);

    loop.settle();
    EXPECT_FALSE(result) << "the opener must not hear of it before the PD runs";
    ASSERT_TRUE(host.ready());
    ASSERT_TRUE(loop.until([&] { return over; }));
    ASSERT_TRUE(*result) << result->error().text;
    ASSERT_EQ(::send((*result)->client.get(), "hello", 5, 0), 5);
    std::array<char, 8> word{};
    EXPECT_EQ(::recv(host.session.get(), word.data(), word.size(), 0), 5) << "client and host are not connected";
    EXPECT_EQ(quotas.opens.keys(), 0U);
    EXPECT_EQ(quotas.lanes.used(3), 4U) << "the session's charges go on to the session";
}

TEST_F(HostStartTest, a_failure_comes_back_with_its_kind_and_words_and_frees_everything) {
    begin();
    FakeHost host = accept();
    ASSERT_TRUE(host.receive_start());
    host.say(ControlOp::failed, FailedMessage{ErrorKind::busy, EBUSY, "all slots are taken"});
    ASSERT_TRUE(loop.until([&] { return over; }));
    ASSERT_FALSE(*result);
    EXPECT_EQ(result->error().kind, ErrorKind::busy);
    EXPECT_EQ(result->error().text, "all slots are taken");
    EXPECT_EQ(charges(), 0U);
    EXPECT_TRUE(at_end(host.session.get()));
}

TEST_F(HostStartTest, a_host_that_dies_before_ready_is_an_error) {
    begin();
    {
        FakeHost host = accept();
        ASSERT_TRUE(host.receive_start());
    }
    ASSERT_TRUE(loop.until([&] { return over; }));
    ASSERT_FALSE(*result);
    EXPECT_EQ(charges(), 0U);
}

TEST_F(HostStartTest, a_host_that_died_while_it_waited_is_replaced) {
    ReadyHosts keeping(loop, socket_path(), 1);
    {
        FakeHost host = waiting(keeping);
        begin(10s, keeping);
        ASSERT_TRUE(loop.until([&] { return readable(host.socket.get(), 0); })) << "it was not given the order";
    } // ends without a look at it
    FakeHost second = accept();
    ASSERT_TRUE(second.receive_start());
    EXPECT_EQ(second.directories.size(), 1U) << "the order is the whole one";
    ASSERT_TRUE(second.ready());
    ASSERT_TRUE(loop.until([&] { return over; }));
    ASSERT_TRUE(*result) << result->error().text;
}

TEST_F(HostStartTest, a_host_that_waited_and_died_with_its_order_read_is_an_error) {
    ReadyHosts keeping(loop, socket_path(), 1);
    {
        FakeHost host = waiting(keeping);
        begin(10s, keeping);
        ASSERT_TRUE(loop.until([&] { return readable(host.socket.get(), 0); }));
        ASSERT_TRUE(host.receive_start());
    }
    ASSERT_TRUE(loop.until([&] { return over; }));
    EXPECT_FALSE(*result) << "it may have done something on the DSP";
    EXPECT_EQ(charges(), 0U);
}

TEST_F(HostStartTest, no_session_socket_is_an_error_that_names_it) {
    std::filesystem::remove(socket_path());
    begin();
    ASSERT_TRUE(loop.until([&] { return over; }));
    ASSERT_FALSE(*result);
    EXPECT_NE(result->error().text.find(socket_path()), std::string::npos) << result->error().text;
}

TEST_F(HostStartTest, a_silent_host_is_a_timeout_and_keeps_its_charges_until_it_is_gone) {
    begin(50ms);
    FakeHost host = accept();
    ASSERT_TRUE(host.receive_start());
    ASSERT_TRUE(loop.until([&] { return result.has_value(); }));
    EXPECT_EQ(result->error().kind, ErrorKind::timeout);
    EXPECT_TRUE(at_end(host.session.get())) << "the end of the session socket ends the host";
    EXPECT_FALSE(over);
    EXPECT_EQ(quotas.lanes.used(3), 4U);
    host.socket.reset();
    ASSERT_TRUE(loop.until([&] { return over; }));
    EXPECT_EQ(charges(), 0U);
}

TEST_F(HostStartTest, an_abandoned_start_tells_the_host_and_answers_nobody) {
    begin();
    FakeHost host = accept();
    ASSERT_TRUE(host.receive_start());
    start->abandon("nobody waits");
    const auto frame = host.receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
    ASSERT_TRUE(host.ready()) << "it may have been under way";
    loop.settle();
    EXPECT_FALSE(over);
    host.bye("told to end");
    ASSERT_TRUE(loop.until([&] { return over; }));
    EXPECT_FALSE(result);
    EXPECT_EQ(charges(), 0U);
}

TEST_F(HostStartTest, a_start_abandoned_before_there_is_a_host_is_over_at_once) {
    begin();
    start->abandon("nobody waits");
    EXPECT_TRUE(over);
    EXPECT_EQ(charges(), 0U);
}

TEST_F(HostStartTest, a_host_that_is_ready_with_something_else_is_refused) {
    begin();
    FakeHost host = accept();
    ASSERT_TRUE(host.receive_start());
    Description about = host.about();
    about.grant.limits.lanes += 1;
    ASSERT_TRUE(host.say(ControlOp::ready, about));
    ASSERT_TRUE(loop.until([&] { return result.has_value(); }));
    ASSERT_FALSE(*result);
    EXPECT_EQ(result->error().kind, ErrorKind::protocol);
}

TEST_F(HostStartTest, garbage_instead_of_ready_is_an_error) {
    begin();
    FakeHost host = accept();
    ASSERT_TRUE(host.receive_start());
    ASSERT_EQ(::send(host.socket.get(), "?", 1, 0), 1);
    ASSERT_TRUE(loop.until([&] { return over; }));
    EXPECT_FALSE(*result);
    EXPECT_EQ(charges(), 0U);
}
