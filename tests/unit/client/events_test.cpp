// Events: what the host tells unasked, and the end of the session as the last of them.
#include "client/fastrpc.h"
#include "tests/unit/client/fake_host.hpp"

#include <atomic>
#include <cstring>
#include <future>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

namespace fastrpc::test {
namespace {

struct SessionEvents : testing::Test {
    FakeHost host;
    fastrpc_event event{};
    fastrpc_error error{};
    int fd = -1;

    SessionEvents() { EXPECT_EQ(fastrpc_session_events(host.session(), &fd, &error), 0) << error.text; }
    int next(int timeout_ms = 60000) { return fastrpc_session_next_event(host.session(), timeout_ms, &event, &error); }
    [[nodiscard]] bool readable(int timeout_ms) const {
        pollfd ready{fd, POLLIN, 0};
        return ::poll(&ready, 1, timeout_ms) == 1;
    }
    void say_pd(PdStatus status, std::uint64_t generation, std::string_view text) {
        host.say(EventOp::pd_status, PdStatusEvent{static_cast<std::uint32_t>(status), 0, generation}, text);
    }
};

TEST_F(SessionEvents, come_in_order_with_all_they_say) {
    EXPECT_FALSE(readable(0));
    say_pd(PdStatus::up, 3, "");
    say_pd(PdStatus::exception, 4, "crashed in method 2");
    host.say(EventOp::leave, LeaveEvent{2000, 0}, "others wait");
    ASSERT_TRUE(readable(60000));
    ASSERT_EQ(next(), 0) << error.text;
    EXPECT_EQ(event.type, static_cast<std::uint32_t>(FASTRPC_EVENT_PD));
    EXPECT_EQ(event.status, static_cast<std::uint32_t>(FASTRPC_PD_UP));
    EXPECT_EQ(event.generation, 3U);
    ASSERT_EQ(next(), 0);
    EXPECT_EQ(event.status, static_cast<std::uint32_t>(FASTRPC_PD_EXCEPTION));
    EXPECT_EQ(event.generation, 4U);
    EXPECT_STREQ(event.text, "crashed in method 2");
    ASSERT_EQ(next(), 0);
    EXPECT_EQ(event.type, static_cast<std::uint32_t>(FASTRPC_EVENT_LEAVE));
    EXPECT_EQ(event.grace_ms, 2000U);
    EXPECT_STREQ(event.text, "others wait");
    EXPECT_FALSE(readable(0));
    EXPECT_EQ(next(0), FASTRPC_EEXPIRED);
    EXPECT_EQ(next(10), FASTRPC_EEXPIRED);
    EXPECT_STREQ(error.name, "timeout");
}

TEST_F(SessionEvents, have_one_fd_for_the_life_of_the_session) {
    int again = -1;
    ASSERT_EQ(fastrpc_session_events(host.session(), &again, &error), 0);
    EXPECT_EQ(again, fd);
}

TEST_F(SessionEvents, end_with_the_reason_of_the_sessions_end_told_once) {
    EXPECT_EQ(fastrpc_session_lost_reason(host.session()), -1);
    host.say_lost(ErrorKind::timeout, "a call took longer than 500 ms", LostReason::timeout);
    host.vanish();
    ASSERT_TRUE(readable(60000));
    ASSERT_EQ(next(), 0) << error.text;
    EXPECT_EQ(event.type, static_cast<std::uint32_t>(FASTRPC_EVENT_LOST));
    EXPECT_EQ(event.reason, static_cast<std::uint32_t>(FASTRPC_LOST_TIMEOUT));
    EXPECT_STREQ(event.text, "the session is lost (timeout): a call took longer than 500 ms");
    EXPECT_EQ(next(), FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.name, "lost");
    EXPECT_EQ(fastrpc_session_lost_reason(host.session()), FASTRPC_LOST_TIMEOUT);
}

TEST_F(SessionEvents, the_end_is_told_also_to_who_asks_only_then) {
    FakeHost other;
    other.say_lost(ErrorKind::lost, "made room", LostReason::reclaimed);
    other.vanish();
    EXPECT_EQ(fastrpc_session_lost_reason(other.session()), FASTRPC_LOST_RECLAIMED) << "without any other call";
    ASSERT_EQ(fastrpc_session_next_event(other.session(), 0, &event, &error), 0) << error.text;
    EXPECT_EQ(event.reason, static_cast<std::uint32_t>(FASTRPC_LOST_RECLAIMED));
    EXPECT_EQ(fastrpc_session_next_event(other.session(), 0, &event, &error), FASTRPC_ECONNRESET);
}

TEST_F(SessionEvents, a_host_that_vanishes_or_gives_a_reason_of_its_own_is_unknown) {
    host.vanish();
    ASSERT_EQ(next(), 0) << error.text;
    EXPECT_EQ(event.reason, static_cast<std::uint32_t>(FASTRPC_LOST_UNKNOWN));
    FakeHost other;
    other.say_lost(ErrorKind::lost, "?", static_cast<LostReason>(99));
    other.vanish();
    EXPECT_EQ(fastrpc_session_lost_reason(other.session()), FASTRPC_LOST_UNKNOWN);
}

TEST_F(SessionEvents, of_many_threads_that_wait_one_gets_each) {
    constexpr unsigned events = 40;
    std::atomic<unsigned> got{0}, lost{0}, over{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                fastrpc_event mine;
                int code = 0;
                while ((code = fastrpc_session_next_event(host.session(), -1, &mine, nullptr)) == 0)
                    ++(mine.type == FASTRPC_EVENT_LOST ? lost : got);
                over += code == FASTRPC_ECONNRESET;
            });
        for (unsigned i = 0; i < events; ++i) say_pd(PdStatus::up, i, "");
        while (got < events) std::this_thread::yield();
        host.say_lost(ErrorKind::lost, "enough");
        host.vanish();
    }
    EXPECT_EQ(got, events);
    EXPECT_EQ(lost, 1U);
    EXPECT_EQ(over, 4U);
}

TEST_F(SessionEvents, a_request_that_ends_the_session_wakes_who_waits) {
    auto waiting = std::async(std::launch::async, [&] { return next(-1); });
    host.on_session = [](const Request& request) {
        ::send(request.socket, "garbage", 7, 0);
        return true;
    };
    fastrpc_buffer* buffer = nullptr;
    EXPECT_EQ(fastrpc_buffer_alloc(host.session(), 10, &buffer, nullptr), FASTRPC_ECONNRESET);
    EXPECT_EQ(waiting.get(), 0);
    EXPECT_EQ(event.type, static_cast<std::uint32_t>(FASTRPC_EVENT_LOST));
}

TEST_F(SessionEvents, what_no_host_may_say_ends_the_session) {
    const std::vector<std::byte> few(15);
    const PdStatusEvent status{99, 0, 0};
    const std::vector<std::function<void(FakeHost&)>> bad{
        [&](FakeHost& h) { h.say_event(static_cast<std::uint16_t>(EventOp::pd_status), few, ""); },
        [&](FakeHost& h) { h.say_event(static_cast<std::uint16_t>(EventOp::leave), std::span(few).first(7), ""); },
        [&](FakeHost& h) { h.say(EventOp::pd_status, status, "no such status"); },
        [&](FakeHost& h) { h.say_event(50, few, ""); },
        [&](FakeHost& h) { h.say_event(static_cast<std::uint16_t>(EventOp::leave), few, std::string(10000, 'x')); },
    };
    for (std::size_t i = 0; i < bad.size(); ++i) {
        FakeHost h;
        int socket = -1;
        ASSERT_EQ(fastrpc_session_events(h.session(), &socket, &error), 0);
        bad[i](h);
        EXPECT_EQ(fastrpc_session_next_event(h.session(), 60000, &event, &error), FASTRPC_ECONNRESET) << i;
        fastrpc_usage usage;
        EXPECT_EQ(fastrpc_session_usage(h.session(), &usage, &error), FASTRPC_ECONNRESET) << i;
    }
}

TEST_F(SessionEvents, a_long_text_is_cut) {
    say_pd(PdStatus::exit, 1, std::string(3000, 't'));
    ASSERT_EQ(next(), 0) << error.text;
    EXPECT_EQ(std::string(event.text), std::string(sizeof event.text - 1, 't'));
}

TEST(Events, a_host_that_has_none_is_an_error_and_the_session_goes_on) {
    FakeHost host;
    host.on_session = [](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(SessionOp::open_events)) return false;
        request.refuse(ErrorKind::unsupported, "no events here");
        return true;
    };
    fastrpc_error error{};
    fastrpc_event event;
    int fd = 5;
    EXPECT_EQ(fastrpc_session_events(host.session(), &fd, &error), FASTRPC_EUNSUPPORTED);
    EXPECT_EQ(fd, -1);
    EXPECT_EQ(fastrpc_session_next_event(host.session(), 0, &event, &error), FASTRPC_EUNSUPPORTED);
    EXPECT_NE(host.module(), nullptr);
}

} // namespace
} // namespace fastrpc::test
