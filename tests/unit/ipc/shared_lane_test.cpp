// Shared lanes: what is put is what is taken, and a peer that writes what it likes gets a protocol error at most.
#include "bytes.hpp"

#include "ipc/shared_lane.hpp"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

struct Lane {
    Lane() : memory(*SharedLaneMemory::create(file)), peer(*SharedLaneMemory::map(file.get())) {
        void* const base = ::mmap(nullptr, SharedLaneMemory::size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
        raw = static_cast<std::byte*>(base);
    }
    ~Lane() { ::munmap(raw, SharedLaneMemory::size); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    UniqueFd file;
    SharedLaneMemory memory, peer;
    std::byte* raw = nullptr; ///< as a hostile peer sees it
    std::vector<std::byte> storage = std::vector<std::byte>(max_lane_datagram);
};

constexpr FrameHeader header{.opcode = 16, .cookie = 0x1122334455667788};

ErrorKind kind_of(const Result<Frame>& frame) {
    return frame ? ErrorKind::none : frame.error().kind;
}

} // namespace

TEST(SharedLane, a_frame_arrives_as_it_was_put_in_either_direction) {
    Lane lane;
    Bytes one(100), two(7);
    for (std::size_t i = 0; i < one.size(); ++i) one[i] = static_cast<std::byte>(i);
    two[6] = std::byte{0xFF};
    const std::array pieces{iovec{one.data(), one.size()}, iovec{nullptr, 0}, iovec{two.data(), two.size()}};
    for (const bool request : {true, false}) {
        SharedSlot from = request ? lane.peer.request() : lane.memory.reply();
        ASSERT_TRUE(from.put(header, pieces));
        const SharedSlot to = request ? lane.memory.request() : lane.peer.reply();
        const Result<Frame> frame = to.take(lane.storage);
        ASSERT_TRUE(frame) << frame.error().text;
        EXPECT_EQ(frame->header.opcode, 16);
        EXPECT_EQ(frame->header.cookie, header.cookie);
        EXPECT_EQ(Bytes(frame->payload.begin(), frame->payload.end()), one + two);
    }
}

TEST(SharedLane, a_frame_of_the_largest_size_fits_and_one_byte_more_is_refused) {
    Lane lane;
    Bytes all(max_lane_datagram - sizeof(FrameHeader) + 1);
    iovec piece{all.data(), all.size() - 1};
    ASSERT_TRUE(lane.peer.request().put(header, {&piece, 1}));
    const Result<Frame> frame = lane.memory.request().take(lane.storage);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->payload.size(), all.size() - 1);
    piece.iov_len = all.size();
    const Status refused = lane.peer.request().put(header, {&piece, 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

TEST(SharedLane, sizes_and_headers_that_lie_are_protocol_errors) {
    Lane lane;
    const iovec piece{const_cast<char*>("abcd"), 4};
    for (const std::uint32_t size : {0U, 31U, 35U, 37U, std::uint32_t{max_lane_datagram} + 1, 0xFFFFFFFFU}) {
        ASSERT_TRUE(lane.peer.request().put(header, {&piece, 1}));
        std::memcpy(lane.raw, &size, sizeof size);
        EXPECT_EQ(kind_of(lane.memory.request().take(lane.storage)), ErrorKind::protocol) << size;
    }
    for (std::size_t at = 0; at < sizeof(FrameHeader) - sizeof header.cookie; ++at) {
        if (at == 6 || at == 7 || at == 8) continue; // the opcode, and the flag of a reply, mean something else later
        ASSERT_TRUE(lane.peer.request().put(header, {&piece, 1}));
        lane.raw[4096 + at] ^= std::byte{0x40};
        EXPECT_EQ(kind_of(lane.memory.request().take(lane.storage)), ErrorKind::protocol) << at;
    }
}

TEST(SharedLane, what_was_taken_does_not_change_any_more) {
    Lane lane;
    const iovec piece{const_cast<char*>("before"), 6};
    ASSERT_TRUE(lane.peer.request().put(header, {&piece, 1}));
    const Result<Frame> frame = lane.memory.request().take(lane.storage);
    ASSERT_TRUE(frame);
    std::memset(lane.raw + 4096, 0xEE, 100);
    EXPECT_EQ(std::memcmp(frame->payload.data(), "before", 6), 0);
    EXPECT_EQ(frame->header.payload, 6U);
}

TEST(SharedLane, random_memory_gives_a_whole_frame_or_a_protocol_error) {
    Lane lane;
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        const iovec piece{lane.storage.data(), random() % 500};
        ASSERT_TRUE(lane.peer.request().put(header, {&piece, 1}));
        for (std::size_t i = 0; i <= random() % 4; ++i) {
            const std::size_t at = random() % 36;
            lane.raw[at < 4 ? at : 4096 - 4 + at] = static_cast<std::byte>(random());
        }
        const Result<Frame> frame = lane.memory.request().take(lane.storage);
        if (!frame) {
            ASSERT_EQ(frame.error().kind, ErrorKind::protocol);
            continue;
        }
        ASSERT_LE(frame->payload.size() + sizeof(FrameHeader), max_lane_datagram);
        ASSERT_EQ(frame->payload.size(), frame->header.payload);
    }
}

TEST(SharedLane, its_memory_can_neither_shrink_nor_grow_nor_be_sealed_further) {
    const Lane lane;
    EXPECT_NE(::ftruncate(lane.file.get(), 4096), 0);
    EXPECT_NE(::ftruncate(lane.file.get(), 1 << 20), 0);
    EXPECT_NE(::fcntl(lane.file.get(), F_ADD_SEALS, F_SEAL_WRITE), 0) << "or a peer could stop the other from writing";
}

TEST(SharedLane, memory_that_no_host_made_is_not_mapped) {
    const UniqueFd unsealed(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(::ftruncate(unsealed.get(), SharedLaneMemory::size), 0);
    const UniqueFd small(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(::fcntl(small.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {unsealed.get(), small.get(), null.get(), -1}) {
        const Result<SharedLaneMemory> mapped = SharedLaneMemory::map(fd);
        ASSERT_FALSE(mapped);
        EXPECT_EQ(mapped.error().kind, ErrorKind::protocol);
    }
}

TEST(SharedLane, a_bell_says_what_was_rung_and_over_at_its_end_and_for_anything_else) {
    auto bell = std::move(*make_bell());
    ASSERT_TRUE(ring(bell[1].get(), Bell::frame));
    ASSERT_TRUE(ring(bell[1].get(), Bell::over));
    ASSERT_TRUE(ring(bell[1].get(), static_cast<Bell>(77)));
    EXPECT_EQ(hear(bell[0].get()), Bell::frame);
    EXPECT_EQ(hear(bell[0].get()), Bell::over);
    EXPECT_EQ(hear(bell[0].get()), Bell::over);
    bell[1].reset();
    EXPECT_EQ(hear(bell[0].get()), Bell::over);
}

TEST(SharedLane, nobody_waits_for_a_peer_that_does_not_hear) {
    const auto bell = std::move(*make_bell());
    Status rung;
    for (int i = 0; i < 1 << 20 && rung; ++i) rung = ring(bell[1].get(), Bell::frame);
    ASSERT_FALSE(rung);
    EXPECT_EQ(rung.error().kind, ErrorKind::lost);
}
