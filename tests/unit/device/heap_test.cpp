// Where buffers come from, what counts as one, and where the kernel's copies may go.
#include "base/unique_fd.hpp"
#include "daemon/device/guarded_area.hpp"
#include "daemon/device/heap.hpp"
#include "fake_kernel.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <sys/socket.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

TEST(DmaBuf, no_ordinary_file_is_taken_for_one) {
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_FALSE(is_dma_buf(memory.get(), memory.get()));
    EXPECT_FALSE(is_dma_buf(null.get(), memory.get()));
    EXPECT_FALSE(is_dma_buf(-1, memory.get()));
}

TEST(DmaBuf, its_size_is_what_the_file_says) {
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 12288), 0);
    EXPECT_EQ(dma_buf_size(memory.get()).value(), 12288U);
    EXPECT_FALSE(dma_buf_size(-1));
}

TEST(DmaHeap, a_machine_without_one_is_told_so) {
    const auto heap = open_dma_heap(Kernel::real(), "/dev/dma_heap/no-such-heap");
    ASSERT_FALSE(heap);
    EXPECT_EQ(heap.error().os_error, ENOENT);
    EXPECT_NE(heap.error().text.find("/dev/dma_heap/no-such-heap"), std::string::npos);
}

TEST(DmaHeap, a_file_that_is_no_heap_fails_at_the_first_allocation) {
    const auto heap = open_dma_heap(Kernel::real(), "/dev/null");
    ASSERT_TRUE(heap);
    const auto buffer = (*heap)->allocate(4096);
    ASSERT_FALSE(buffer);
    EXPECT_EQ(buffer.error().os_error, ENOTTY);
}

TEST(GuardedArea, a_copy_beyond_its_end_faults_instead_of_overwriting) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{65536}, std::size_t{65537}}) {
        const GuardedArea area(size);
        int pair[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        const UniqueFd a(pair[0]);
        const UniqueFd b(pair[1]);
        const std::vector<char> bytes(256U << 10, 'x');
        const int room = 512 << 10;
        ::setsockopt(a.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        const ssize_t sent = ::send(a.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        ASSERT_GT(sent, 140 << 10);
        // The kernel copies at most the slack after the area, then meets the guard.
        const ssize_t copied = ::read(b.get(), area.bytes().data(), static_cast<std::size_t>(sent));
        EXPECT_LT(copied, static_cast<ssize_t>(size + (64U << 10))) << size;
    }
}

TEST(GuardedArea, resizing_keeps_what_fits_and_zeroes_the_rest) {
    GuardedArea area(3);
    std::memcpy(area.bytes().data(), "abc", 3);
    area.resize(200'000);
    EXPECT_EQ(std::memcmp(area.bytes().data(), "abc\0\0", 5), 0);
    EXPECT_EQ(area.bytes().size(), 200'000U);
    EXPECT_EQ(area.bytes().back(), std::byte{0});
    area.resize(2);
    EXPECT_EQ(std::memcmp(area.bytes().data(), "ab", 2), 0);
    EXPECT_EQ(area.bytes().size(), 2U);
}

namespace {

struct UdmabufRequest {
    std::uint32_t memory;
    std::uint32_t flags;
    std::uint64_t offset;
    std::uint64_t size;
};
constexpr unsigned long udmabuf_create = 0x40187542;

/// A udmabuf device whose buffers are the memory files themselves.
class UdmabufKernel : public FakeKernel {
public:
    UdmabufKernel() { nodes["/dev/udmabuf"] = 0; }
    int ioctl(int, unsigned long code, void* argument) noexcept override {
        EXPECT_EQ(code, udmabuf_create);
        const auto& request = as<UdmabufRequest>(argument);
        requests.push_back(request);
        seals.push_back(::fcntl(static_cast<int>(request.memory), F_GET_SEALS));
        file_sizes.push_back(*dma_buf_size(static_cast<int>(request.memory)));
        if (refused != 0) {
            errno = refused;
            return -1;
        }
        return ::fcntl(static_cast<int>(request.memory), F_DUPFD_CLOEXEC, 0);
    }
    int refused = 0;
    std::vector<UdmabufRequest> requests;
    std::vector<int> seals;
    std::vector<std::uint64_t> file_sizes;
};

} // namespace

TEST(UdmabufHeap, makes_whole_pages_that_can_not_shrink_any_more) {
    UdmabufKernel kernel;
    const auto heap = open_udmabuf_heap(kernel);
    ASSERT_TRUE(heap);
    const auto buffer = (*heap)->allocate(5000);
    ASSERT_TRUE(buffer) << buffer.error().text;
    const UdmabufRequest& request = kernel.requests.back();
    EXPECT_EQ(request.size, 2 * page_size());
    EXPECT_EQ(request.offset, 0U);
    EXPECT_EQ(request.flags, 1U); // close-on-exec
    EXPECT_EQ(kernel.seals.back() & (F_SEAL_SHRINK | F_SEAL_WRITE), F_SEAL_SHRINK);
    EXPECT_EQ(kernel.file_sizes.back() % request.size, 0U);
    EXPECT_EQ(::fcntl(buffer->get(), F_GETFD), FD_CLOEXEC);
}

TEST(UdmabufHeap, one_page_needs_no_huge_page) {
    UdmabufKernel kernel;
    const auto heap = open_udmabuf_heap(kernel);
    ASSERT_TRUE((*heap)->allocate(1));
    ASSERT_EQ(kernel.file_sizes.size(), 1U);
    EXPECT_EQ(kernel.file_sizes[0], page_size());
}

TEST(UdmabufHeap, its_refusal_is_told_with_the_step_that_failed) {
    UdmabufKernel kernel;
    kernel.refused = ENOMEM;
    const auto heap = open_udmabuf_heap(kernel);
    const auto buffer = (*heap)->allocate(1U << 20);
    ASSERT_FALSE(buffer);
    EXPECT_EQ(buffer.error().os_error, ENOMEM);
    EXPECT_NE(buffer.error().text.find("UDMABUF_CREATE"), std::string::npos) << buffer.error().text;
    EXPECT_EQ(kernel.file_sizes.back(), 1U << 20); // the last try is always of ordinary pages
}

TEST(OpenHeap, prefers_the_dma_heap) {
    FakeKernel kernel;
    kernel.nodes = {{"/dev/dma_heap/system", 0}, {"/dev/udmabuf", 0}};
    ASSERT_TRUE(open_heap(kernel));
    EXPECT_EQ(kernel.opened, std::vector<std::string>{"/dev/dma_heap/system"});
}

TEST(OpenHeap, takes_udmabuf_where_there_is_no_dma_heap_for_us) {
    for (const int refused : {ENOENT, EACCES}) {
        FakeKernel kernel;
        kernel.nodes = {{"/dev/dma_heap/system", refused}, {"/dev/udmabuf", 0}};
        EXPECT_TRUE(open_heap(kernel)) << refused;
    }
}

TEST(OpenHeap, says_why_there_is_neither) {
    FakeKernel kernel;
    kernel.nodes = {{"/dev/udmabuf", EACCES}};
    const auto heap = open_heap(kernel);
    ASSERT_FALSE(heap);
    EXPECT_NE(heap.error().text.find("/dev/dma_heap/system: No such file"), std::string::npos) << heap.error().text;
    EXPECT_NE(heap.error().text.find("/dev/udmabuf: Permission denied"), std::string::npos) << heap.error().text;
}
