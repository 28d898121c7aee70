// Hosts that wait: made after the first open, given once, never when they are gone, and let go when nobody opens.
#include "broker/control_listener.hpp"
#include "broker/ready_hosts.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/fake_host.hpp"
#include "tests/unit/broker/loop.hpp"

#include <filesystem>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

class ReadyHostsTest : public testing::Test {
protected:
    Loop loop;
    fastrpc::test::Scratch scratch;
    UniqueFd listener;

    void SetUp() override {
        auto socket = listen_on(path());
        ASSERT_TRUE(socket) << socket.error().text;
        listener = std::move(*socket);
    }
    [[nodiscard]] std::string path() const { return scratch.path("session.sock"); }
    /// The host's end of the next connection.
    UniqueFd accept() const {
        EXPECT_TRUE(loop.until([&] { return readable(listener.get(), 0); }));
        return UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    /// Takes one, after which one waits; gives that one's other end.
    UniqueFd make_wait(ReadyHosts& hosts) {
        EXPECT_TRUE(hosts.take());
        accept();
        EXPECT_TRUE(loop.until([&] { return hosts.waiting() == 1; }));
        return accept();
    }
    static bool connected(int one, int other) {
        char byte = 'x';
        return ::send(one, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(other, &byte, 1, MSG_DONTWAIT) == 1;
    }
};

} // namespace

TEST_F(ReadyHostsTest, none_is_started_before_the_first_open) {
    const ReadyHosts hosts(loop, path(), 1, 50ms);
    loop.settle();
    EXPECT_FALSE(readable(listener.get(), 300));
}

TEST_F(ReadyHostsTest, after_an_open_one_waits_and_the_next_open_gets_it) {
    ReadyHosts hosts(loop, path(), 1);
    const auto first = hosts.take();
    ASSERT_TRUE(first) << first.error().text;
    EXPECT_FALSE(first->waited);
    const UniqueFd started = accept();
    EXPECT_TRUE(connected(first->socket.get(), started.get()));

    ASSERT_TRUE(loop.until([&] { return hosts.waiting() == 1; }));
    const UniqueFd waiting = accept();
    const auto second = hosts.take();
    ASSERT_TRUE(second) << second.error().text;
    EXPECT_TRUE(second->waited);
    EXPECT_TRUE(connected(second->socket.get(), waiting.get()));
    EXPECT_EQ(hosts.waiting(), 0U) << "nobody else gets it";
    EXPECT_TRUE(loop.until([&] { return hosts.waiting() == 1; })) << "it was not replaced";
}

TEST_F(ReadyHostsTest, none_waits_when_none_is_wanted) {
    ReadyHosts hosts(loop, path(), 0);
    EXPECT_TRUE(hosts.take());
    accept();
    EXPECT_FALSE(loop.until([&] { return readable(listener.get(), 0); }, 400ms));
}

TEST_F(ReadyHostsTest, one_that_ended_is_given_to_nobody_and_not_replaced_before_the_next_open) {
    ReadyHosts hosts(loop, path(), 1);
    make_wait(hosts).reset();
    ASSERT_TRUE(loop.until([&] { return hosts.waiting() == 0; }));
    EXPECT_FALSE(loop.until([&] { return readable(listener.get(), 0); }, 400ms)) << "a host that fails would loop";

    make_wait(hosts).reset(); // the loop has not seen it
    const auto host = hosts.take();
    ASSERT_TRUE(host);
    EXPECT_FALSE(host->waited);
}

TEST_F(ReadyHostsTest, one_that_speaks_before_it_is_asked_is_given_to_nobody) {
    ReadyHosts hosts(loop, path(), 1);
    const UniqueFd host = make_wait(hosts);
    ASSERT_EQ(::send(host.get(), "hello", 5, MSG_NOSIGNAL), 5);
    ASSERT_TRUE(loop.until([&] { return hosts.waiting() == 0; }));
    EXPECT_TRUE(at_end(host.get()));
}

TEST_F(ReadyHostsTest, all_go_when_nobody_opens) {
    ReadyHosts hosts(loop, path(), 3, 300ms);
    EXPECT_TRUE(hosts.take());
    accept();
    ASSERT_TRUE(loop.until([&] { return hosts.waiting() == 3; }));
    const UniqueFd one = accept();
    ASSERT_TRUE(loop.until([&] { return hosts.waiting() == 0; }));
    EXPECT_TRUE(at_end(one.get()));
}

TEST_F(ReadyHostsTest, a_session_socket_that_is_gone_is_said_to_who_opens) {
    ReadyHosts hosts(loop, path(), 1);
    std::filesystem::remove(path());
    const auto host = hosts.take();
    ASSERT_FALSE(host);
    EXPECT_NE(host.error().text.find(path()), std::string::npos) << host.error().text;
    EXPECT_FALSE(loop.until([&] { return hosts.waiting() > 0; }, 300ms));
}
