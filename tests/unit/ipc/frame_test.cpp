// Frames over a real socket pair: whole, malformed, with fds, without a peer.
#include "bytes.hpp"

#include "ipc/frame.hpp"
#include "tests/support/pass_fd.hpp"
#include "tests/support/scratch.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

std::size_t open_fds() {
    const std::filesystem::directory_iterator list("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(list), end(list)));
}

class FrameTest : public testing::Test {
protected:
    FrameTest() {
        auto pair = socket_pair();
        if (!pair) throw std::runtime_error(pair.error().text);
        ours_ = std::move(pair->first);
        theirs_ = std::move(pair->second);
        before_ = open_fds();
    }
    ~FrameTest() override {
        ours_.reset();
        theirs_.reset();
    }

    // One datagram exactly as given, with `fds` duplicates of a fd; what a hostile peer can send.
    void send_raw(const Bytes& bytes, std::size_t fds = 0) const {
        const std::vector<int> copies(fds, theirs_.get());
        ASSERT_EQ(send_with_fds(theirs_.get(), bytes, copies, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
    static Bytes raw(const FrameHeader& header, std::size_t payload = 0) {
        Bytes bytes(sizeof header + payload);
        std::memcpy(bytes.data(), &header, sizeof header);
        return bytes;
    }
    Result<Frame> receive(std::size_t max_fds = 0) { return receive_frame(ours_.get(), storage_, max_fds); }
    void expect_protocol_error(std::size_t max_fds = 0) {
        {
            const Result<Frame> frame = receive(max_fds);
            ASSERT_FALSE(frame);
            EXPECT_EQ(frame.error().kind, ErrorKind::protocol) << frame.error().text;
            EXPECT_FALSE(frame.error().text.empty());
        }
        EXPECT_EQ(open_fds(), before_) << "a fd leaked";
    }

    UniqueFd ours_;
    UniqueFd theirs_;
    std::array<std::byte, 4096> storage_{};
    std::size_t before_ = 0;
};

} // namespace

TEST_F(FrameTest, arrives_as_it_was_sent) {
    FrameHeader header;
    header.opcode = 17;
    header.cookie = 0x0123456789ABCDEF;
    const Bytes payload = hex("01 02 03 04 05");
    ASSERT_TRUE(send_frame(theirs_.get(), header, payload));
    const Result<Frame> frame = receive();
    ASSERT_TRUE(frame) << frame.error().text;
    EXPECT_EQ(frame->header.opcode, 17);
    EXPECT_EQ(frame->header.cookie, 0x0123456789ABCDEFU);
    EXPECT_EQ(frame->header.flags, 0U);
    EXPECT_EQ(frame->header.payload, 5U);
    EXPECT_EQ(copy(frame->payload), payload);
    EXPECT_TRUE(frame->fds.empty());
}

TEST_F(FrameTest, has_the_header_of_its_table) {
    FrameHeader header;
    header.magic = 1; // filled in by send_frame
    header.payload = 99;
    header.fds = 3;
    header.opcode = 0x0102;
    header.flags = frame_reply;
    header.status = 4;
    header.cookie = 0x1122334455667788;
    ASSERT_TRUE(send_frame(theirs_.get(), header, hex("aa bb")));
    Bytes got(100);
    const ssize_t size = ::recv(ours_.get(), got.data(), got.size(), 0);
    got.resize(static_cast<std::size_t>(size));
    EXPECT_EQ(got, hex("46 52 50 31  01 00  02 01  01 00 00 00  02 00 00 00  00 00 00 00  04 00 00 00"
                       "88 77 66 55 44 33 22 11  aa bb"));
}

TEST_F(FrameTest, pieces_arrive_as_one_payload) {
    Bytes a = hex("01 02");
    Bytes b = hex("03");
    Bytes c = hex("04 05 06");
    const std::vector<iovec> pieces{{a.data(), a.size()}, {nullptr, 0}, {b.data(), b.size()}, {c.data(), c.size()}};
    ASSERT_TRUE(send_frame(theirs_.get(), {}, pieces));
    const Result<Frame> frame = receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(copy(frame->payload), hex("01 02 03 04 05 06"));
    EXPECT_FALSE(send_frame(theirs_.get(), {}, std::vector<iovec>(17, iovec{a.data(), 1})));
}

TEST_F(FrameTest, a_frame_may_fill_the_storage_and_not_pass_it) {
    ASSERT_TRUE(send_frame(theirs_.get(), {}, Bytes(storage_.size() - sizeof(FrameHeader))));
    EXPECT_TRUE(receive());
    ASSERT_TRUE(send_frame(theirs_.get(), {}, Bytes(storage_.size() - sizeof(FrameHeader) + 1)));
    expect_protocol_error();
    ASSERT_TRUE(send_frame(theirs_.get(), {}, hex("07"))); // and the next one is read from its start
    const Result<Frame> next = receive();
    ASSERT_TRUE(next);
    EXPECT_EQ(copy(next->payload), hex("07"));
}

TEST_F(FrameTest, fds_arrive_close_on_exec_in_order_and_close_with_the_frame) {
    std::vector<int> raw;
    std::vector<UniqueFd> files;
    for (std::size_t i = 0; i < max_frame_fds; ++i) {
        files.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
        raw.push_back(files.back().get());
    }
    struct stat wanted {};
    files[5].reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw[5] = files[5].get();
    ASSERT_EQ(::fstat(raw[5], &wanted), 0);
    const std::size_t with_files = open_fds();
    ASSERT_TRUE(send_frame(theirs_.get(), {}, hex("01"), raw));
    {
        const Result<Frame> frame = receive(max_frame_fds);
        ASSERT_TRUE(frame) << frame.error().text;
        ASSERT_EQ(frame->fds.size(), max_frame_fds);
        for (const UniqueFd& fd : frame->fds) EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
        struct stat got {};
        ASSERT_EQ(::fstat(frame->fds[5].get(), &got), 0);
        EXPECT_EQ(got.st_rdev, wanted.st_rdev);
        EXPECT_EQ(open_fds(), with_files + max_frame_fds);
    }
    EXPECT_EQ(open_fds(), with_files);
    raw.push_back(raw[0]);
    EXPECT_FALSE(send_frame(theirs_.get(), {}, hex("01"), raw));
}

TEST_F(FrameTest, a_datagram_shorter_than_a_header_is_refused) {
    for (std::size_t size = 1; size < sizeof(FrameHeader); ++size) {
        send_raw(Bytes(size, std::byte{1}));
        expect_protocol_error();
    }
}

TEST_F(FrameTest, every_field_of_the_header_is_checked) {
    const auto refused = [&](const auto& change, std::size_t payload = 8) {
        FrameHeader header;
        header.payload = 8;
        change(header);
        send_raw(raw(header, payload));
        expect_protocol_error(4);
    };
    refused([](FrameHeader& h) { h.magic ^= 1; });
    refused([](FrameHeader& h) { h.magic = 0; });
    refused([](FrameHeader& h) { h.version = 0; });
    refused([](FrameHeader& h) { h.version = 2; });
    for (int bit = 1; bit < 32; ++bit) refused([&](FrameHeader& h) { h.flags = 1U << bit; });
    refused([](FrameHeader& h) { h.payload = 7; });
    refused([](FrameHeader& h) { h.payload = 9; });
    refused([](FrameHeader& h) { h.payload = 0xFFFFFFFF; });
    refused([](FrameHeader&) {}, 9);
    refused([](FrameHeader&) {}, 0);
    refused([](FrameHeader& h) { h.fds = 1; });
    refused([](FrameHeader& h) { h.fds = 0xFFFFFFFF; });
    refused([](FrameHeader& h) { h.status = 1; }); // a request has none
    FrameHeader good;
    good.payload = 8;
    send_raw(raw(good, 8));
    EXPECT_TRUE(receive(4));
}

TEST_F(FrameTest, a_count_of_fds_that_is_wrong_either_way_is_refused_and_leaks_none) {
    for (const auto& [said, sent] :
         std::vector<std::pair<std::uint32_t, std::size_t>>{{0, 1}, {1, 2}, {2, 1}, {3, 0}, {0, 4}}) {
        FrameHeader header;
        header.fds = said;
        send_raw(raw(header), sent);
        expect_protocol_error(4);
    }
}

TEST_F(FrameTest, more_fds_than_allowed_are_refused_and_leak_none) {
    for (const std::size_t allowed : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}, max_frame_fds})
        for (const std::size_t sent : {allowed + 1, allowed + 2, allowed + 3, std::size_t{100}}) {
            FrameHeader header;
            header.fds = static_cast<std::uint32_t>(sent);
            send_raw(raw(header), sent);
            expect_protocol_error(allowed);
        }
}

TEST_F(FrameTest, a_malformed_frame_with_fds_leaks_none) {
    send_raw(Bytes(5), 3);
    expect_protocol_error(4);
    FrameHeader header;
    header.magic = 0;
    header.fds = 3;
    send_raw(raw(header), 3);
    expect_protocol_error(4);
    header.magic = frame_magic;
    header.payload = 5000;
    send_raw(raw(header, 5000), 3); // truncated by the storage
    expect_protocol_error(4);
}

TEST_F(FrameTest, fds_of_a_malformed_frame_go_to_who_wants_to_close_them) {
    FrameHeader header;
    header.fds = 2;
    send_raw(raw(header), 2);
    {
        Leftovers leftovers;
        const Result<Frame> frame = receive_frame(ours_.get(), storage_, 1, &leftovers);
        ASSERT_FALSE(frame);
        EXPECT_EQ(frame.error().kind, ErrorKind::protocol);
        EXPECT_EQ(leftovers.fds.size(), 2U);
        EXPECT_FALSE(leftovers.no_numbers);
        EXPECT_EQ(open_fds(), before_ + 2);
    }
    EXPECT_EQ(open_fds(), before_);
}

TEST_F(FrameTest, surplus_fds_are_no_lack_of_numbers) {
    FrameHeader header;
    header.fds = 1;
    send_raw(raw(header), 3);
    Leftovers leftovers;
    EXPECT_EQ(receive_frame(ours_.get(), storage_, 1, &leftovers).error().kind, ErrorKind::protocol);
    EXPECT_FALSE(leftovers.no_numbers);
}

TEST_F(FrameTest, the_end_of_the_connection_is_lost) {
    ASSERT_TRUE(send_frame(theirs_.get(), {}, hex("01")));
    theirs_.reset();
    EXPECT_TRUE(receive()); // what was sent before is still read
    for (int i = 0; i < 2; ++i) {
        const Result<Frame> frame = receive();
        ASSERT_FALSE(frame);
        EXPECT_EQ(frame.error().kind, ErrorKind::lost);
    }
}

TEST_F(FrameTest, a_reset_by_a_peer_that_left_unread_data_is_lost) {
    ASSERT_TRUE(send_frame(ours_.get(), {}, hex("01")));
    theirs_.reset();
    const Result<Frame> frame = receive();
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().kind, ErrorKind::lost);
    EXPECT_EQ(frame.error().os_error, ECONNRESET);
}

TEST_F(FrameTest, an_empty_datagram_ends_the_connection_and_leaks_no_fd) {
    send_raw({}, 2);
    {
        const Result<Frame> frame = receive(4);
        ASSERT_FALSE(frame);
        EXPECT_EQ(frame.error().kind, ErrorKind::lost);
    }
    EXPECT_EQ(open_fds(), before_);
}

TEST_F(FrameTest, sending_to_a_closed_peer_is_lost_and_no_signal) {
    theirs_.reset();
    const Status status = send_frame(ours_.get(), {}, hex("01"));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::lost);
    EXPECT_EQ(status.error().os_error, EPIPE);
}

TEST_F(FrameTest, a_full_or_empty_nonblocking_socket_is_told_from_a_lost_one) {
    ASSERT_EQ(::fcntl(ours_.get(), F_SETFL, O_NONBLOCK), 0);
    const Result<Frame> nothing = receive();
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error().kind, ErrorKind::system);
    EXPECT_EQ(nothing.error().os_error, EAGAIN);
    Status status;
    for (int i = 0; i < 100000 && status; ++i) status = send_frame(ours_.get(), {}, Bytes(1024));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::system);
    EXPECT_EQ(status.error().os_error, EAGAIN);
}

TEST_F(FrameTest, an_error_reply_carries_kind_text_opcode_and_cookie) {
    FrameHeader request;
    request.opcode = 3;
    request.cookie = 42;
    ASSERT_TRUE(send_error(theirs_.get(), request, {ErrorKind::quota, EDQUOT, "4 of 4 lanes are open"}));
    const Result<Frame> reply = receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header.opcode, 3);
    EXPECT_EQ(reply->header.cookie, 42U);
    EXPECT_EQ(reply->header.flags, frame_reply);
    const Error error = error_of(*reply);
    EXPECT_EQ(error.kind, ErrorKind::quota);
    EXPECT_EQ(error.text, "4 of 4 lanes are open");
}

TEST_F(FrameTest, an_unknown_status_is_a_protocol_error) {
    for (const std::uint32_t status : {14U, 1000U, 0xFFFFFFFFU, 65537U}) {
        Frame reply;
        reply.header.status = status;
        EXPECT_EQ(error_of(reply).kind, ErrorKind::protocol) << status;
    }
    Frame reply;
    reply.header.status = 13;
    EXPECT_EQ(error_of(reply).kind, ErrorKind::dsp);
}

TEST_F(FrameTest, random_headers_are_refused_or_exact_and_leak_no_fd) {
    std::mt19937 random(31);
    for (int round = 0; round < 20000; ++round) {
        FrameHeader header;
        header.payload = static_cast<std::uint32_t>(random() % 4);
        header.fds = static_cast<std::uint32_t>(random() % 3);
        Bytes bytes = raw(header, random() % 4);
        if (random() % 2 == 0) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        const std::size_t fds = random() % 3;
        send_raw(bytes, fds);
        const Result<Frame> frame = receive(2);
        if (!frame) {
            ASSERT_EQ(frame.error().kind, ErrorKind::protocol);
            continue;
        }
        ASSERT_EQ(frame->payload.size(), bytes.size() - sizeof(FrameHeader));
        ASSERT_EQ(frame->fds.size(), fds);
        ASSERT_EQ(frame->header.magic, frame_magic);
    }
    EXPECT_EQ(open_fds(), before_);
}

TEST(ConnectSeqpacket, reaches_a_listener_and_names_the_path_that_it_cannot_reach) {
    const Scratch scratch;
    const std::string path = scratch.path("s");
    const Result<UniqueFd> absent = connect_seqpacket(path);
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().os_error, ENOENT);
    EXPECT_NE(absent.error().text.find(path), std::string::npos);

    const UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    const Result<UniqueFd> socket = connect_seqpacket(path);
    ASSERT_TRUE(socket) << socket.error().text;
    EXPECT_EQ(::fcntl(socket->get(), F_GETFD), FD_CLOEXEC);
}

TEST(ConnectSeqpacket, a_path_that_no_socket_can_have_is_refused) {
    EXPECT_EQ(connect_seqpacket("").error().kind, ErrorKind::invalid);
    EXPECT_EQ(connect_seqpacket(std::string(108, 'x')).error().kind, ErrorKind::invalid);
    EXPECT_NE(connect_seqpacket("/" + std::string(106, 'x')).error().kind, ErrorKind::invalid);
}
