// The control socket: hosts come in by describing themselves, and nothing else gets in or in the way.
#include "broker/control_listener.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/fake_host.hpp"
#include "tests/unit/broker/loop.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class ControlListenerTest : public testing::Test {
protected:
    Loop loop;
    fastrpc::test::Scratch scratch;
    std::vector<std::unique_ptr<HostLink>> links;
    std::unique_ptr<ControlListener> listener;

    [[nodiscard]] std::string path() const { return scratch.path("control.sock"); }

    void listen(std::set<std::uint32_t> uids = {::geteuid()}, std::chrono::milliseconds timeout = 10s) {
        auto socket = listen_on(path());
        ASSERT_TRUE(socket) << socket.error().text;
        auto started = ControlListener::start(
            loop, std::move(*socket), std::move(uids),
            [this](std::unique_ptr<HostLink>& link, const Description& about) -> Status {
                if (about.domain == Domain::mdsp) return fail(ErrorKind::denied, "not this one");
                if (Status done = link->accept(); !done) return done;
                link->set_handler([](const HostMessage&) {});
                links.push_back(std::move(link));
                return {};
            },
            timeout);
        ASSERT_TRUE(started);
        listener = std::move(*started);
    }
    FakeHost connect() { return FakeHost(std::move(*connect_seqpacket(path()))); }
};

} // namespace

TEST_F(ControlListenerTest, the_socket_is_for_its_owner_alone) {
    listen();
    struct stat status {};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(ControlListenerTest, a_socket_in_use_is_not_taken_over_and_a_dead_one_is) {
    {
        const auto first = listen_on(path());
        ASSERT_TRUE(first);
        const auto second = listen_on(path());
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().kind, ErrorKind::busy);
    }
    EXPECT_TRUE(listen_on(path()));
}

TEST_F(ControlListenerTest, a_host_that_describes_itself_is_adopted_and_told_so) {
    listen();
    FakeHost host = connect();
    ASSERT_TRUE(host.say(ControlOp::describe, root_of(Domain::adsp), 9));
    ASSERT_TRUE(loop.until([&] { return links.size() == 1; }));
    const auto answer = host.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.cookie, 9U);
    EXPECT_EQ(answer->header.status, 0U);
    EXPECT_EQ(answer->payload.size(), 0U);
    EXPECT_EQ(listener->pending(), 0U);
}

TEST_F(ControlListenerTest, a_host_that_is_turned_away_hears_why) {
    listen();
    FakeHost host = connect();
    ASSERT_TRUE(host.say(ControlOp::describe, root_of(Domain::mdsp), 9));
    ASSERT_TRUE(loop.until([&] { return readable(host.socket.get(), 0); }));
    const auto answer = host.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(error_of(*answer).kind, ErrorKind::denied);
    EXPECT_EQ(error_of(*answer).text, "not this one");
    EXPECT_TRUE(at_end(host.socket.get()));
}

TEST_F(ControlListenerTest, a_user_that_no_host_runs_as_is_not_served) {
    listen({::geteuid() + 1});
    FakeHost host = connect();
    ASSERT_TRUE(host.say(ControlOp::describe, root_of(Domain::adsp), 9));
    EXPECT_TRUE(loop.until([&] { return readable(host.socket.get(), 0); }));
    EXPECT_TRUE(at_end(host.socket.get())) << "it was answered";
    EXPECT_TRUE(links.empty());
    EXPECT_EQ(listener->pending(), 0U);
}

TEST_F(ControlListenerTest, whoever_says_nothing_is_dropped_in_time) {
    listen({::geteuid()}, 50ms);
    FakeHost host = connect();
    ASSERT_TRUE(loop.until([&] { return listener->pending() == 1; }));
    EXPECT_TRUE(loop.until([&] { return listener->pending() == 0; }));
    EXPECT_TRUE(at_end(host.socket.get()));
}

TEST_F(ControlListenerTest, a_host_is_answered_in_each_version_that_is_spoken) {
    listen();
    for (std::uint16_t version = control_versions.oldest; version <= control_versions.newest; ++version) {
        FakeHost host = connect();
        host.version = version;
        const std::size_t before = links.size();
        ASSERT_TRUE(host.say(ControlOp::describe, root_of(Domain::adsp), 9));
        ASSERT_TRUE(loop.until([&] { return links.size() == before + 1; }));
        EXPECT_EQ(links.back()->version(), version);
        const auto answer = host.receive();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->header.version, version);
        EXPECT_EQ(answer->header.status, 0U);
        ASSERT_TRUE(links.back()->terminate(LostReason::terminated, "enough"));
        const auto word = host.receive();
        ASSERT_TRUE(word);
        EXPECT_EQ(word->header.version, version);
        EXPECT_TRUE(decode<TerminateMessage>(word->payload, version));
    }
}

TEST_F(ControlListenerTest, a_version_that_is_not_spoken_is_refused_as_such_whatever_it_says_in_it) {
    listen();
    for (const int version : {0, control_newest + 1, 0xFFFF}) {
        FakeHost host = connect();
        host.version = static_cast<std::uint16_t>(version);
        ASSERT_TRUE(host.send(ControlOp::describe, std::vector<std::byte>(1000, std::byte{0xEE}), 9));
        ASSERT_TRUE(loop.until([&] { return readable(host.socket.get(), 0); }));
        const auto answer = host.receive();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->header.version, control_newest) << "what it may look for in its own newest";
        EXPECT_EQ(answer->header.cookie, 9U);
        const Error why = error_of(*answer);
        EXPECT_EQ(why.kind, ErrorKind::unsupported);
        EXPECT_NE(why.text.find(fmt::format("version {} ", version)), std::string::npos) << why.text;
        EXPECT_TRUE(loop.until([&] { return readable(host.socket.get(), 0); }));
        EXPECT_TRUE(at_end(host.socket.get()));
    }
    EXPECT_TRUE(links.empty());
    EXPECT_EQ(listener->pending(), 0U);
}

TEST_F(ControlListenerTest, a_host_that_begins_in_another_version_than_it_goes_on_in_is_dropped) {
    listen();
    std::vector<HostMessage> heard;
    FakeHost host = connect();
    host.version = control_versions.oldest;
    ASSERT_TRUE(host.say(ControlOp::describe, root_of(Domain::adsp), 9));
    ASSERT_TRUE(loop.until([&] { return links.size() == 1; }));
    links.front()->set_handler([&](HostMessage message) { heard.push_back(std::move(message)); });
    host.version = control_versions.newest;
    ASSERT_TRUE(host.say(ControlOp::state, root_of(Domain::adsp)));
    ASSERT_TRUE(loop.until([&] { return heard.size() == 1; }));
    const auto* gone = std::get_if<HostGone>(&heard.front());
    ASSERT_NE(gone, nullptr);
    EXPECT_EQ(gone->error.kind, ErrorKind::protocol);
}

TEST_F(ControlListenerTest, anything_but_a_description_first_is_dropped) {
    listen();
    FakeHost garbage = connect(), state = connect(), bye = connect(), with_fd = connect();
    ASSERT_EQ(::send(garbage.socket.get(), "garbage", 7, 0), 7);
    ASSERT_TRUE(state.say(ControlOp::state, root_of(Domain::adsp)));
    ASSERT_TRUE(bye.bye("hello"));
    FrameHeader header{.version = control_newest, .opcode = static_cast<std::uint16_t>(ControlOp::describe)};
    const std::array<int, 1> fds{with_fd.socket.get()};
    ASSERT_TRUE(send_frame(with_fd.socket.get(), header, encode(root_of(Domain::adsp)), fds));
    for (FakeHost* host : {&garbage, &state, &bye, &with_fd}) {
        EXPECT_TRUE(loop.until([&] { return readable(host->socket.get(), 0); }));
        EXPECT_TRUE(at_end(host->socket.get()));
    }
    EXPECT_TRUE(links.empty());
    EXPECT_EQ(listener->pending(), 0U);
}

TEST_F(ControlListenerTest, a_crowd_that_says_nothing_delays_a_host_only_until_it_is_dropped) {
    listen({::geteuid()}, 1s); // less than that may pass until all are there, on a busy machine
    std::vector<FakeHost> crowd;
    for (std::size_t i = 0; i < ControlListener::max_pending + 10; ++i) crowd.push_back(connect());
    ASSERT_TRUE(loop.until([&] { return listener->pending() == ControlListener::max_pending; }));
    FakeHost host = connect();
    ASSERT_TRUE(host.say(ControlOp::describe, root_of(Domain::adsp), 9));
    EXPECT_TRUE(loop.until([&] { return links.size() == 1; }));
    EXPECT_LE(listener->pending(), ControlListener::max_pending);
}
