// Shared lanes as a session's client has them: the same calls as over a socket, and the same end.
#include "ipc/shared_lane.hpp"
#include "session_harness.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

/// The client's side of a shared lane.
class Client {
public:
    explicit Client(std::vector<UniqueFd> ends) :
        ends_(std::move(ends)), memory_(*SharedLaneMemory::map(ends_.at(0).get())) {
        EXPECT_EQ(ends_.size(), shared_lane_fds);
    }
    void send(LaneOp what, std::span<const std::byte> payload, FrameHeader header = {}) {
        header.opcode = static_cast<std::uint16_t>(what);
        const iovec piece{const_cast<std::byte*>(payload.data()), payload.size()};
        ASSERT_TRUE(memory_.request().put(header, {&piece, 1}));
        ASSERT_TRUE(ring(ends_[2].get(), Bell::frame));
    }
    Result<Frame> receive() {
        pollfd heard{ends_[3].get(), POLLIN, 0};
        if (::poll(&heard, 1, 10000) != 1) return fail(ErrorKind::timeout, "no answer");
        if (hear(ends_[3].get()) == Bell::over) return fail(ErrorKind::lost, "over");
        return memory_.reply().take(storage_);
    }
    Result<Frame> ask(LaneOp what, std::span<const std::byte> payload) {
        send(what, payload, {.cookie = 9});
        Result<Frame> reply = receive();
        if (reply && reply->header.status != 0) return std::unexpected(error_of(*reply));
        return reply;
    }
    std::uint32_t open_module() {
        const std::string_view uri = "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0";
        const Result<Frame> reply = ask(LaneOp::open_module, std::as_bytes(std::span(uri.data(), uri.size() + 1)));
        EXPECT_TRUE(reply) << reply.error().text;
        return reply ? read_as<ModuleReply>(reply->payload).handle : 0;
    }
    /// The lane's end is told.
    bool over() {
        const Result<Frame> frame = receive();
        return !frame && frame.error().kind == ErrorKind::lost;
    }
    [[nodiscard]] int fd(std::size_t index) const { return ends_.at(index).get(); }

private:
    std::vector<UniqueFd> ends_;
    SharedLaneMemory memory_;
    std::vector<std::byte> storage_ = std::vector<std::byte>(max_lane_datagram);
};

class SharedLanes : public SessionHarness {
protected:
    Client open_shared() {
        Result<Frame> reply = session->ask(op(SessionOp::open_shared_lane));
        EXPECT_TRUE(reply) << reply.error().text;
        return Client(reply ? std::move(reply->fds) : std::vector<UniqueFd>{});
    }
    void expect_lanes(std::uint32_t count) {
        for (int i = 0; i < 1000 && usage().lanes != count; ++i) ::usleep(10'000);
        EXPECT_EQ(usage().lanes, count);
    }
};

} // namespace

TEST_F(SharedLanes, carry_calls_with_their_inputs_and_outputs) {
    start_ready();
    Client lane = open_shared();
    const std::uint32_t module = lane.open_module();
    dsp.method = [](std::uint32_t, Scalars, std::span<const Argument> arguments) -> CallResult {
        std::memcpy(arguments[1].data, arguments[0].data, arguments[0].length);
        return {0x27, 0};
    };
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, max_inline}) {
        const std::string text(size, 'x');
        const Result<Frame> reply =
            lane.ask(LaneOp::invoke,
                     InvokeBuilder(module, Scalars::make(2, 1, 1)).inline_input(text).inline_output(size).payload());
        ASSERT_TRUE(reply) << reply.error().text;
        EXPECT_EQ(reply->header.cookie, 9U);
        EXPECT_EQ(read_as<InvokeReply>(reply->payload).result, 0x27);
        EXPECT_EQ(std::memcmp(reply->payload.data() + sizeof(InvokeReply), text.data(), size), 0);
    }
    EXPECT_EQ(usage().calls, 3U);
}

TEST_F(SharedLanes, count_as_lanes_and_the_grant_bounds_both_kinds_together) {
    start_ready(); // 3 lanes
    const Client one = open_shared();
    const Peer two = open_lane();
    std::optional<Client> three = open_shared();
    const Result<Frame> refused = session->ask(op(SessionOp::open_shared_lane));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::quota);
    three.reset(); // a client that closes one and opens another at once gets it
    const Client again = open_shared();
    expect_lanes(3);
}

TEST_F(SharedLanes, of_a_client_that_closed_them_are_gone) {
    start_ready();
    {
        Client lane = open_shared();
        lane.open_module();
        expect_lanes(1);
    }
    expect_lanes(0);
}

TEST_F(SharedLanes, end_when_their_memory_or_bell_is_garbage_and_the_session_goes_on) {
    start_ready();
    for (int kind = 0; kind < 3; ++kind) {
        Client lane = open_shared();
        if (kind == 0) {
            ASSERT_TRUE(ring(lane.fd(2), static_cast<Bell>(99)));
        } else if (kind == 1) {
            ASSERT_TRUE(ring(lane.fd(2), Bell::frame)) << "a request of no bytes";
        } else {
            lane.send(static_cast<LaneOp>(999), {});
        }
        EXPECT_TRUE(lane.over()) << kind;
    }
    Client lane = open_shared();
    EXPECT_NE(lane.open_module(), 0U);
}

TEST_F(SharedLanes, a_call_in_flight_is_answered_before_the_end_is_told) {
    start_ready();
    Client lane = open_shared();
    const std::uint32_t module = lane.open_module();
    std::atomic<bool> inside = false, go = false;
    dsp.method = [&](std::uint32_t, Scalars, std::span<const Argument>) -> CallResult {
        inside = true;
        while (!go) ::usleep(1000);
        return {5, 0};
    };
    lane.send(LaneOp::invoke, InvokeBuilder(module, Scalars::make(2, 0, 0)).payload());
    while (!inside) ::usleep(1000);
    control->send(static_cast<std::uint16_t>(ControlOp::terminate),
                  encode(TerminateMessage{LostReason::terminated, "test"}));
    const Result<Frame> word = session->receive();
    ASSERT_TRUE(word);
    EXPECT_EQ(word->header.opcode, op(SessionOp::lost));
    go = true;
    const Result<Frame> reply = lane.receive();
    ASSERT_TRUE(reply) << reply.error().text;
    EXPECT_EQ(read_as<InvokeReply>(reply->payload).result, 5);
    EXPECT_TRUE(lane.over());
    bye();
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(SharedLanes, a_client_that_steals_the_ring_of_the_end_does_not_keep_the_session) {
    start_ready();
    Client lane = open_shared();
    std::atomic<bool> stop = false;
    std::thread thief([&] {
        const int bell = ::dup(lane.fd(1));
        while (!stop) {
            pollfd rung{bell, POLLIN, 0};
            if (::poll(&rung, 1, 1) == 1) hear(bell);
        }
        ::close(bell);
    });
    // The thief may win some of the races; the host rings again.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    control->send(static_cast<std::uint16_t>(ControlOp::terminate),
                  encode(TerminateMessage{LostReason::terminated, "test"}));
    lost();
    bye();
    EXPECT_EQ(join(), HostExit::ended);
    stop = true;
    // It may have waited in read for a ring that the host's thread heard.
    static_cast<void>(ring(lane.fd(2), Bell::over));
    thief.join();
}
