// The session socket: requests, the end of a session and its reason, and hosts that answer wrongly.
#include "client/fastrpc.h"
#include "client/handles.hpp"
#include "ipc/control.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <future>
#include <gtest/gtest.h>
#include <poll.h>
#include <semaphore>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>

namespace fastrpc::test {
namespace {

struct SessionSocket : testing::Test {
    FakeHost host;
    fastrpc_error error{};
    fastrpc_buffer* buffer = nullptr;

    int call() {
        std::array<char, 4> in{}, out{};
        const fastrpc_arg args[]{{in.data(), in.size(), nullptr, 0}, {out.data(), out.size(), nullptr, 0}};
        return fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 1, 1), args, 2, &error);
    }
    int allocate(std::size_t size = 100) { return fastrpc_buffer_alloc(host.session(), size, &buffer, &error); }
    void answer_session(std::function<void(const Request&)> answer) {
        host.on_session = [answer = std::move(answer)](const Request& request) {
            answer(request);
            return true;
        };
    }
};

TEST_F(SessionSocket, names_itself_and_its_grant) {
    FakeHost named({.path = "/org/fastrpc1/session/12",
                    .domain = "cdsp",
                    .rule = "all",
                    .file = "/etc/x.json",
                    .line = 3,
                    .lanes = 4,
                    .memory = 5,
                    .buffers = 6,
                    .deadline_ms = 7});
    EXPECT_STREQ(fastrpc_session_path(named.session()), "/org/fastrpc1/session/12");
    EXPECT_STREQ(fastrpc_session_id(named.session()), "12");
    const fastrpc_grant* grant = fastrpc_session_grant(named.session());
    EXPECT_STREQ(grant->rule, "all");
    EXPECT_STREQ(grant->file, "/etc/x.json");
    EXPECT_EQ(grant->line, 3U);
    EXPECT_EQ(grant->lanes, 4U);
    EXPECT_EQ(grant->memory, 5U);
    EXPECT_EQ(grant->buffers, 6U);
    EXPECT_EQ(grant->deadline_ms, 7U);
}

TEST_F(SessionSocket, tells_the_counters_of_the_host) {
    fastrpc_usage usage;
    ASSERT_EQ(fastrpc_session_usage(host.session(), &usage, &error), 0) << error.text;
    EXPECT_EQ(usage.calls, 12U);
    EXPECT_EQ(usage.bytes_served, 3456U);
    EXPECT_EQ(usage.p99_us, 99U);
    EXPECT_STREQ(usage.last_missing, "libgone.so");
}

TEST_F(SessionSocket, a_refused_buffer_is_an_error_and_the_session_goes_on) {
    answer_session([](const Request& request) { request.refuse(ErrorKind::quota, "268435456 bytes are granted"); });
    EXPECT_EQ(allocate(), FASTRPC_EITEMBUSY);
    EXPECT_STREQ(error.name, "quota");
    EXPECT_STREQ(error.text, "268435456 bytes are granted");
    EXPECT_EQ(buffer, nullptr);
    EXPECT_EQ(allocate(0), FASTRPC_EBADPARM);
    host.on_session = nullptr;
    ASSERT_EQ(allocate(), 0) << error.text;
    EXPECT_EQ(fastrpc_buffer_free(buffer), 0);
}

TEST_F(SessionSocket, a_lost_session_says_why_at_the_next_call_and_ever_after) {
    ASSERT_EQ(call(), 0);
    host.say_lost(ErrorKind::dsp, "the PD crashed while in method 2 of libtest_skel.so");
    host.vanish();
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(call(), FASTRPC_ECONNRESET);
        EXPECT_STREQ(error.name, "lost");
        EXPECT_STREQ(error.text, "the session is lost (dsp): the PD crashed while in method 2 of libtest_skel.so");
    }
    EXPECT_EQ(allocate(), FASTRPC_ECONNRESET);
    EXPECT_NE(std::strstr(error.text, "the PD crashed"), nullptr);
}

TEST_F(SessionSocket, a_call_during_which_the_session_is_lost_says_why) {
    host.on_lane = [&](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::invoke)) return false;
        // The lane goes first: the word comes after, and is waited for.
        ::shutdown(request.socket, SHUT_RDWR);
        host.say_lost(ErrorKind::timeout, "a call took longer than 500 ms");
        return true;
    };
    EXPECT_EQ(call(), FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.text, "the session is lost (timeout): a call took longer than 500 ms");
}

TEST_F(SessionSocket, a_dsp_that_went_away_in_a_call_says_why) {
    host.on_lane = [&](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::invoke)) return false;
        request.reply(invoke_reply(-1, EPIPE));
        host.say_lost(ErrorKind::lost, "cdsp restarted");
        return true;
    };
    EXPECT_EQ(call(), FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.text, "the session is lost: cdsp restarted");
}

TEST_F(SessionSocket, a_word_that_comes_before_a_reply_ends_the_request) {
    answer_session([&](const Request&) { host.say_lost(ErrorKind::lost, "cdsp restarted"); });
    EXPECT_EQ(allocate(), FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.text, "the session is lost: cdsp restarted");
}

TEST_F(SessionSocket, a_host_that_ends_without_a_word_is_lost_too) {
    ASSERT_EQ(call(), 0);
    host.vanish();
    EXPECT_EQ(call(), FASTRPC_ECONNRESET);
    EXPECT_NE(std::strstr(error.text, "without a word"), nullptr) << error.text;
    EXPECT_EQ(allocate(), FASTRPC_ECONNRESET);
}

TEST_F(SessionSocket, a_host_that_refuses_because_the_pd_is_gone_ends_the_session) {
    ASSERT_EQ(call(), 0);
    answer_session([](const Request& request) { request.refuse(ErrorKind::lost, "the PD is gone"); });
    EXPECT_EQ(allocate(), FASTRPC_ECONNRESET);
    EXPECT_EQ(call(), FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.text, "the PD is gone");
}

// A host that reads nothing: its end is in the test's hands.
TEST(Session, the_last_word_is_read_although_the_host_left_a_request_unread) {
    auto pair = socket_pair();
    ASSERT_TRUE(pair);
    fastrpc_session session{std::make_shared<core::Session>(std::move(pair->second), core::SessionInfo{.lanes = 1})};
    auto request = std::async(std::launch::async, [&] {
        fastrpc_error error;
        fastrpc_buffer* buffer = nullptr;
        EXPECT_EQ(fastrpc_buffer_alloc(&session, 10, &buffer, &error), FASTRPC_ECONNRESET);
        return std::string(error.text);
    });
    pollfd ready{pair->first.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, -1), 1);
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(SessionOp::lost);
    struct {
        LostEvent event;
        std::array<char, 4> why;
    } const word{{static_cast<std::uint32_t>(ErrorKind::lost), 0}, {'g', 'o', 'n', 'e'}};
    ASSERT_TRUE(send_frame(pair->first.get(), header, std::as_bytes(std::span(&word, 1))));
    pair->first.reset(); // with the request unread the kernel resets the connection
    EXPECT_EQ(request.get(), "the session is lost: gone");
}

TEST_F(SessionSocket, an_answer_that_makes_no_sense_ends_the_session_with_an_error) {
    using Answer = void (*)(FakeHost&, const Request&);
    const auto reply_with = [](const Request& request, BufferReply made, bool with_fd) {
        const UniqueFd memory(::memfd_create("buffer", MFD_CLOEXEC));
        ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
        const int fd = memory.get();
        request.reply(std::as_bytes(std::span(&made, 1)), std::span(&fd, with_fd ? 1 : 0));
    };
    static const auto reply = reply_with;
    const std::array<Answer, 9> answers{
        [](FakeHost&, const Request& r) {
            reply(r, {0, 0, 100}, true);
        },
        [](FakeHost&, const Request& r) {
            reply(r, {1, 0, 99}, true);
        },
        [](FakeHost&, const Request& r) {
            reply(r, {1, 0, 100}, false);
        },
        [](FakeHost&, const Request& r) { r.reply(std::vector<std::byte>(8)); },
        [](FakeHost&, const Request& r) { ::send(r.socket, "garbage", 7, 0); },
        [](FakeHost&, const Request& r) {
            FrameHeader header = r.header();
            ++header.cookie;
            (void)send_frame(r.socket, header);
        },
        [](FakeHost&, const Request& r) {
            FrameHeader header = r.header();
            header.opcode = static_cast<std::uint16_t>(SessionOp::usage);
            (void)send_frame(r.socket, header);
        },
        [](FakeHost&, const Request& r) {
            FrameHeader header;
            header.opcode = 99;
            (void)send_frame(r.socket, header);
        },
        [](FakeHost&, const Request& r) {
            FrameHeader header;
            header.opcode = static_cast<std::uint16_t>(SessionOp::lost);
            (void)send_frame(r.socket, header, std::vector<std::byte>(7));
        },
    };
    for (std::size_t i = 0; i < answers.size(); ++i) {
        FakeHost bad;
        bad.on_session = [&](const Request& request) {
            answers[i](bad, request);
            return true;
        };
        EXPECT_EQ(fastrpc_buffer_alloc(bad.session(), 100, &buffer, &error), FASTRPC_ECONNRESET)
            << i << ": " << error.text;
        EXPECT_EQ(buffer, nullptr);
        fastrpc_usage usage;
        EXPECT_EQ(fastrpc_session_usage(bad.session(), &usage, &error), FASTRPC_ECONNRESET) << i;
    }
}

TEST_F(SessionSocket, a_buffer_smaller_than_the_host_says_is_never_mapped) {
    answer_session([](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(SessionOp::allocate_buffer))
            return request.reply();
        const UniqueFd memory(::memfd_create("buffer", MFD_CLOEXEC));
        const BufferReply made{1, 0, 4096};
        const int fd = memory.get();
        request.reply(std::as_bytes(std::span(&made, 1)), std::span(&fd, 1));
    });
    EXPECT_NE(allocate(4096), 0);
    EXPECT_EQ(buffer, nullptr);
    EXPECT_NE(std::strstr(error.text, "4096 bytes"), nullptr) << error.text;
}

TEST_F(SessionSocket, counters_that_can_not_be_read_are_an_error) {
    answer_session([](const Request& request) { request.reply(std::vector<std::byte>(5)); });
    fastrpc_usage usage;
    EXPECT_EQ(fastrpc_session_usage(host.session(), &usage, &error), FASTRPC_ECONNRESET);
}

TEST_F(SessionSocket, modules_and_buffers_outlive_a_closed_session) {
    fastrpc_module* module = host.module();
    ASSERT_EQ(allocate(4096), 0);
    host.close_session();
    static_cast<char*>(fastrpc_buffer_data(buffer))[4095] = 1;
    const fastrpc_arg arg{nullptr, 4096, buffer, 0};
    EXPECT_EQ(fastrpc_invoke(module, FASTRPC_SCALARS(2, 1, 0), &arg, 1, &error), FASTRPC_ECONNRESET);
    EXPECT_NE(std::strstr(error.text, "closed by this program"), nullptr) << error.text;
    EXPECT_EQ(fastrpc_buffer_free(buffer), FASTRPC_ECONNRESET);
}

TEST_F(SessionSocket, the_host_sees_the_end_when_the_session_closes_although_a_module_is_left) {
    ASSERT_EQ(call(), 0);
    host.close_session();
    // The session's thread of the fake host ends at the end of file, which the destructor waits for; here it is seen.
    pollfd ended{host.socket(), POLLIN | POLLRDHUP, 0};
    ASSERT_EQ(::poll(&ended, 1, 10000), 1);
    EXPECT_NE(ended.revents & (POLLHUP | POLLRDHUP), 0);
}

} // namespace
} // namespace fastrpc::test
