// Interfaces that a client serves: what the DSP gets whatever the client does, and what ends an interface.
#include "daemon/reverse/client_interfaces.hpp"

#include "asker.hpp"
#include "ipc/aee.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <array>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <thread>

namespace fastrpc::daemon {
namespace {

using test::Answer;
using test::ask;
using test::Bytes;
using test::length;
using test::prim;
using test::string;

constexpr std::uint32_t none = 0xFFFFFFFF;

class Nothing final : public Interface {
public:
    int invoke(const ReverseCall&) override { return 7; }
};

class ClientServes : public ::testing::Test {
protected:
    ClientServes() {
        dispatcher_.offer("apps_std", own_);
        dispatcher_.offer_more(interfaces_);
    }
    std::uint32_t open(std::string_view name) {
        return ask(dispatcher_, 0, 0, {prim({length(name), 255}), string(name)}, {8, 255}).word(0);
    }
    Answer call(std::uint32_t handle, const std::vector<Bytes>& inputs = {},
                const std::vector<std::uint32_t>& capacities = {}, unsigned method = 4) {
        return ask(dispatcher_, handle, method, inputs, capacities);
    }
    UniqueFd serve(std::string_view name) {
        Result<UniqueFd> socket = interfaces_.serve(name);
        EXPECT_TRUE(socket) << socket.error().text;
        return socket ? std::move(*socket) : UniqueFd();
    }

    Nothing own_;
    ClientInterfaces interfaces_{0};
    Dispatcher dispatcher_;
};

/// The client's side of one interface: answers one call as `answer` says.
class Client {
public:
    using Handler = std::function<void(int socket, const Frame& request)>;
    Client(UniqueFd socket, Handler answer) : socket_(std::move(socket)) {
        thread_ = std::thread([this, answer = std::move(answer)] {
            std::vector<std::byte> storage(max_lane_datagram);
            const Result<Frame> frame = receive_frame(socket_.get(), storage, 0);
            if (frame) answer(socket_.get(), *frame);
        });
    }
    ~Client() { thread_.join(); }

private:
    UniqueFd socket_;
    std::thread thread_;
};

void reply(int socket, const FrameHeader& request, ReverseCallReply body, std::span<const std::byte> blob) {
    FrameHeader header = request;
    header.flags = frame_reply;
    const std::array pieces{iovec{&body, sizeof body}, iovec{const_cast<std::byte*>(blob.data()), blob.size()}};
    static_cast<void>(send_frame(socket, header, pieces)); // the host may have gone on
}

/// The blob of one output of 4 bytes.
Bytes word(std::uint32_t value) {
    return Packer().u32(4).u32(0).u32(value).bytes();
}

std::uint32_t read_time(const Frame& frame) {
    ReverseCallRequest request{};
    EXPECT_GE(frame.payload.size(), sizeof request);
    std::memcpy(&request, frame.payload.data(), sizeof request);
    return request.time_ms;
}

TEST_F(ClientServes, a_call_reaches_the_client_and_its_answer_the_dsp) {
    const Client client(serve("com.example.camera"), [](int socket, const Frame& frame) {
        EXPECT_EQ(frame.header.opcode, static_cast<std::uint16_t>(ReverseOp::reverse_call));
        ReverseCallRequest request;
        ASSERT_GE(frame.payload.size(), sizeof request);
        std::memcpy(&request, frame.payload.data(), sizeof request);
        EXPECT_EQ(request.method, 4U);
        EXPECT_EQ(request.scalars, Scalars::make(4, 2, 1).word);
        EXPECT_EQ(request.time_ms, 2000U);
        EXPECT_EQ(request.reserved, 0U);
        const auto blob = decode_request(Scalars{request.scalars}, frame.payload.subspan(sizeof request));
        ASSERT_TRUE(blob);
        EXPECT_EQ(blob->inputs[0].size(), 4U);
        EXPECT_EQ(blob->inputs[1].size(), 6U);
        EXPECT_EQ(blob->capacities, std::vector<std::uint32_t>{4});
        reply(socket, frame.header, {0, 0}, word(0xCAFE));
    });
    const std::uint32_t handle = open("com.example.camera");
    ASSERT_NE(handle, none);
    const Answer answer = call(handle, {prim({5}), string("hello")}, {4});
    EXPECT_EQ(answer.result, 0);
    EXPECT_EQ(Unpacker(answer.outputs[0]).u32(), 0xCAFEU);
}

TEST_F(ClientServes, the_clients_own_code_goes_to_the_dsp_without_outputs) {
    const Client client(serve("cam"), [](int socket, const Frame& frame) {
        reply(socket, frame.header, {aee::bad_parm, 0}, {});
    });
    const std::uint32_t handle = open("cam");
    EXPECT_EQ(call(handle, {}, {4}).result, aee::bad_parm);
    EXPECT_EQ(open("cam"), handle); // it is served still
}

TEST_F(ClientServes, an_extended_method_is_told_as_it_is) {
    const Client client(serve("cam"), [](int socket, const Frame& frame) {
        ReverseCallRequest request;
        std::memcpy(&request, frame.payload.data(), sizeof request);
        EXPECT_EQ(request.method, 42U);
        EXPECT_EQ(Scalars{request.scalars}.method(), extended_method);
        reply(socket, frame.header, {0, 0}, {});
    });
    EXPECT_EQ(call(open("cam"), {prim({42})}, {}, extended_method).result, 0);
}

TEST_F(ClientServes, a_name_that_nobody_serves_opens_nothing) {
    EXPECT_EQ(open("cam"), none);
    EXPECT_EQ(open("file:///libcam_skel.so?cam_skel_handle_invoke&_modver=1.0"), none);
    const UniqueFd socket = serve("cam");
    EXPECT_NE(open("file:///libcam_skel.so?cam_skel_handle_invoke&_modver=1.0"), none);
    EXPECT_EQ(open("cam2"), none);
}

TEST_F(ClientServes, the_hosts_own_names_are_never_a_clients) {
    for (const char* name : {"apps_std", "apps_mem", "adspmsgd", "adspmsgd_apps", "remotectl", "apps_remotectl"})
        EXPECT_EQ(interfaces_.serve(name).error().kind, ErrorKind::denied) << name;
    EXPECT_EQ(call(open("apps_std")).result, 7);
}

TEST_F(ClientServes, names_are_plain_words) {
    const std::string longest(max_interface_name - 1, 'x');
    EXPECT_TRUE(interfaces_.serve(longest));
    for (const std::string& name : {std::string(), longest + "x", std::string("a b"), std::string("a/b"),
                                    std::string("file:///libcam_skel.so"), std::string("a\0b", 3), std::string("\xFF")})
        EXPECT_EQ(interfaces_.serve(name).error().kind, ErrorKind::invalid) << name;
}

TEST_F(ClientServes, eight_names_and_no_more) {
    std::vector<UniqueFd> sockets;
    for (std::size_t i = 0; i < max_interfaces; ++i) sockets.push_back(serve("cam" + std::to_string(i)));
    EXPECT_EQ(interfaces_.serve("cam8").error().kind, ErrorKind::quota);
    EXPECT_EQ(interfaces_.serve("cam3").error().kind, ErrorKind::busy);
    sockets[3].reset();
    EXPECT_TRUE(interfaces_.serve("cam3")) << "a name may be served again";
}

TEST_F(ClientServes, a_closed_socket_is_no_interface_any_more) {
    UniqueFd socket = serve("cam");
    const std::uint32_t handle = open("cam");
    socket.reset();
    EXPECT_EQ(open("cam"), none);
    EXPECT_EQ(call(handle).result, aee::no_such_mod);
    EXPECT_EQ(call(handle).result, aee::no_such_mod);
    const Client again(serve("cam"), [](int end, const Frame& frame) { reply(end, frame.header, {0, 0}, {}); });
    EXPECT_EQ(call(handle).result, 0) << "the handle leads to whoever serves the name now";
}

TEST_F(ClientServes, a_client_that_goes_away_in_the_middle_costs_the_call) {
    UniqueFd socket = serve("cam");
    const std::uint32_t handle = open("cam");
    const int raw = socket.get();
    std::thread closer([&, raw] {
        std::vector<std::byte> storage(max_lane_datagram);
        EXPECT_TRUE(receive_frame(raw, storage, 0));
        socket.reset();
    });
    EXPECT_EQ(call(handle).result, aee::no_such_mod);
    closer.join();
}

TEST_F(ClientServes, an_end_of_the_session_lets_the_listener_go) {
    const UniqueFd socket = serve("cam");
    const std::uint32_t handle = open("cam");
    std::thread ender([&] {
        std::vector<std::byte> storage(max_lane_datagram);
        EXPECT_TRUE(receive_frame(socket.get(), storage, 0));
        interfaces_.end();
    });
    EXPECT_EQ(call(handle).result, aee::no_such_mod);
    ender.join();
    EXPECT_EQ(interfaces_.serve("other").error().kind, ErrorKind::lost);
}

TEST_F(ClientServes, what_exceeds_a_datagram_never_leaves_the_host) {
    const UniqueFd socket = serve("cam");
    const std::uint32_t handle = open("cam");
    EXPECT_EQ(call(handle, {Bytes(max_lane_datagram)}).result, aee::no_memory);
    EXPECT_EQ(call(handle, {}, {static_cast<std::uint32_t>(max_lane_datagram)}).result, aee::no_memory);
    EXPECT_EQ(call(handle, std::vector<Bytes>(255, Bytes(400))).result, aee::no_memory);
    EXPECT_EQ(open("cam"), handle); // the client did nothing wrong
}

TEST(ClientDeadline, a_late_answer_is_no_answer_and_the_interface_is_gone) {
    ClientInterfaces interfaces(30);
    Dispatcher dispatcher;
    dispatcher.offer_more(interfaces);
    const Result<UniqueFd> socket = interfaces.serve("cam");
    const Answer opened = ask(dispatcher, 0, 0, {prim({length("cam"), 0}), string("cam")}, {8, 0});
    EXPECT_EQ(ask(dispatcher, opened.word(0), 4, {}, {}).result, aee::expired);
    EXPECT_EQ(ask(dispatcher, opened.word(0), 4, {}, {}).result, aee::no_such_mod);
    std::vector<std::byte> storage(max_lane_datagram);
    const Result<Frame> request = receive_frame(socket->get(), storage, 0);
    ASSERT_TRUE(request);
    EXPECT_EQ(read_time(*request), 30U);
    EXPECT_EQ(receive_frame(socket->get(), storage, 0).error().kind, ErrorKind::lost);
}

struct BadAnswer {
    const char* name;
    std::function<void(int socket, const FrameHeader& request)> send;
};

class BadAnswers : public ClientServes, public ::testing::WithParamInterface<BadAnswer> {};

const BadAnswer bad_answers[] = {
    {"garbage", [](int socket, const FrameHeader&) { EXPECT_EQ(::send(socket, "garbage", 7, MSG_NOSIGNAL), 7); }},
    {"another_cookie",
     [](int socket, FrameHeader header) {
         ++header.cookie;
         reply(socket, header, {0, 0}, word(1));
     }},
    {"another_opcode",
     [](int socket, FrameHeader header) {
         ++header.opcode;
         reply(socket, header, {0, 0}, word(1));
     }},
    {"no_reply_flag",
     [](int socket, FrameHeader header) {
         ReverseCallReply body{0, 0};
         header.flags = 0;
         EXPECT_TRUE(send_frame(socket, header, std::as_bytes(std::span(&body, 1))));
     }},
    {"an_error_frame",
     [](int socket, const FrameHeader& header) {
         EXPECT_TRUE(send_error(socket, header, {ErrorKind::busy, 0, "no"}));
     }},
    {"half_a_reply",
     [](int socket, FrameHeader header) {
         header.flags = frame_reply;
         EXPECT_TRUE(send_frame(socket, header, std::vector<std::byte>(sizeof(ReverseCallReply) - 1)));
     }},
    {"a_reserved_field",
     [](int socket, const FrameHeader& header) {
         reply(socket, header, {0, 1}, word(1));
     }},
    {"no_outputs",
     [](int socket, const FrameHeader& header) {
         reply(socket, header, {0, 0}, {});
     }},
    {"a_shorter_output",
     [](int socket, const FrameHeader& header) {
         reply(socket, header, {0, 0}, Packer().u32(2).u32(0).u16(1).bytes());
     }},
    {"an_output_beyond_its_blob",
     [](int socket, const FrameHeader& header) {
         reply(socket, header, {0, 0}, Packer().u32(4).bytes());
     }},
    {"outputs_with_a_failure",
     [](int socket, const FrameHeader& header) {
         reply(socket, header, {1, 0}, word(1));
     }},
    {"more_than_a_datagram",
     [](int socket, const FrameHeader&) {
         const std::vector<std::byte> huge(max_lane_datagram + 1);
         ::send(socket, huge.data(), huge.size(), MSG_NOSIGNAL);
     }},
};

TEST_P(BadAnswers, end_the_interface_and_give_the_dsp_a_code) {
    const Client client(serve("cam"), [](int socket, const Frame& frame) { GetParam().send(socket, frame.header); });
    const std::uint32_t handle = open("cam");
    const Answer answer = call(handle, {}, {4});
    EXPECT_EQ(answer.result, aee::failed);
    EXPECT_EQ(Unpacker(answer.outputs[0]).u32(), 0U); // nothing of it shows
    EXPECT_EQ(call(handle).result, aee::no_such_mod);
    EXPECT_EQ(open("cam"), none);
}

INSTANTIATE_TEST_SUITE_P(Each, BadAnswers, ::testing::ValuesIn(bad_answers),
                         [](const auto& each) { return std::string(each.param.name); });

} // namespace
} // namespace fastrpc::daemon
