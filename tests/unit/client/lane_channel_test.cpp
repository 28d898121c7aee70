// A shared lane seen from the client: it brings answers, and it ends when the host, the session or the host's manners
// do.
#include "client/lane_channel.hpp"
#include "ipc/lane.hpp"
#include "ipc/shared_lane.hpp"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::core;

namespace {

/// The host's ends of a shared lane, and the client's channel over the others.
class SharedChannel : public testing::Test {
protected:
    SharedChannel() : memory(*SharedLaneMemory::create(file)), requests(*make_bell()), replies(*make_bell()) {
        ends.emplace_back(::fcntl(file.get(), F_DUPFD_CLOEXEC, 3));
        for (const UniqueFd& end : requests) ends.emplace_back(::fcntl(end.get(), F_DUPFD_CLOEXEC, 3));
        ends.push_back(std::move(replies[0]));
        channel = std::move(*LaneChannel::over(std::move(ends)));
    }
    /// The host's answer to one request: its payload back.
    void echo_once() {
        std::vector<std::byte> own(max_lane_datagram);
        ASSERT_EQ(hear(requests[0].get()), Bell::frame);
        const Result<Frame> request = memory.request().take(own);
        ASSERT_TRUE(request);
        FrameHeader header = request->header;
        header.flags = frame_reply;
        const iovec piece{request->payload.data(), request->payload.size()};
        ASSERT_TRUE(memory.reply().put(header, {&piece, 1}));
        ASSERT_TRUE(ring(replies[1].get(), Bell::frame));
    }
    Status send(std::string_view text) {
        const iovec piece{const_cast<char*>(text.data()), text.size()};
        return channel->send({.opcode = 16, .cookie = 5}, {&piece, 1});
    }
    ErrorKind receive_error() {
        const Result<Frame> frame = channel->receive(storage);
        return frame ? ErrorKind::none : frame.error().kind;
    }

    UniqueFd file;
    SharedLaneMemory memory;
    std::array<UniqueFd, 2> requests, replies;
    std::vector<UniqueFd> ends;
    std::unique_ptr<LaneChannel> channel;
    std::vector<std::byte> storage = std::vector<std::byte>(max_lane_datagram);
};

} // namespace

TEST_F(SharedChannel, brings_each_answer_to_its_request) {
    for (const std::string& text : {std::string("one"), std::string(60000, 'x'), std::string()}) {
        std::thread host([this] { echo_once(); });
        ASSERT_TRUE(send(text));
        const Result<Frame> reply = channel->receive(storage);
        host.join();
        ASSERT_TRUE(reply) << reply.error().text;
        EXPECT_EQ(reply->header.cookie, 5U);
        ASSERT_EQ(reply->payload.size(), text.size());
        EXPECT_EQ(std::memcmp(reply->payload.data(), text.data(), text.size()), 0);
    }
}

TEST_F(SharedChannel, is_lost_when_the_host_says_so_and_when_it_dies_in_a_call) {
    ASSERT_TRUE(send("x"));
    std::thread dying([this] {
        ::usleep(20'000); // so that the client sleeps
        ASSERT_TRUE(ring(replies[1].get(), Bell::over));
    });
    EXPECT_EQ(receive_error(), ErrorKind::lost);
    dying.join();
    std::thread dead([this] {
        ::usleep(20'000);
        replies[1].reset();
    });
    EXPECT_EQ(receive_error(), ErrorKind::lost);
    dead.join();
}

TEST_F(SharedChannel, writes_to_a_dead_host_raise_no_signal) {
    requests[0].reset();
    requests[1].reset();
    replies[1].reset();
    EXPECT_TRUE(send("x")) << "the end is seen by who waits for the answer";
    EXPECT_EQ(receive_error(), ErrorKind::lost);
}

TEST_F(SharedChannel, end_wakes_who_waits_and_nobody_waits_afterwards) {
    ASSERT_TRUE(send("x"));
    std::thread ender([this] {
        ::usleep(20'000);
        channel->end();
    });
    EXPECT_EQ(receive_error(), ErrorKind::lost);
    ender.join();
    EXPECT_EQ(receive_error(), ErrorKind::lost);
}

TEST_F(SharedChannel, an_answer_that_is_no_frame_is_a_protocol_error) {
    ASSERT_TRUE(ring(replies[1].get(), Bell::frame)); // of no bytes
    EXPECT_EQ(receive_error(), ErrorKind::protocol);
}

TEST(SharedChannelEnds, that_no_host_makes_are_refused) {
    std::vector<UniqueFd> too_few;
    too_few.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(LaneChannel::over(std::move(too_few)).error().kind, ErrorKind::protocol);
    std::vector<UniqueFd> no_memory;
    for (std::size_t i = 0; i < shared_lane_fds; ++i) no_memory.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(LaneChannel::over(std::move(no_memory)).error().kind, ErrorKind::protocol);
}
