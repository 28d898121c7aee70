#include "daemon/device/guarded_area.hpp"
// The misc dialect against KERNEL 1.3, 1.4, 1.11.6 and USERSPACE 1.2: numbers, layouts, node order, one init.
#include "base/unique_fd.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/misc.hpp"
#include "daemon/device/misc_abi.hpp"
#include "ipc/aee.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/socket.h>
#include <vector>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

/// Answers open() from a table of path -> errno (0 = /dev/null opens) and remembers what was asked.
struct Nodes {
    std::map<std::string, int> answers;
    std::vector<std::string> asked;

    NodeOpener opener() {
        return [this](const std::string& path) {
            asked.push_back(path);
            const auto found = answers.find(path);
            const int os_error = found == answers.end() ? ENOENT : found->second;
            return os_error == 0 ? ::open("/dev/null", O_RDWR | O_CLOEXEC) : -os_error;
        };
    }
};

const std::string plain = "/dev/fastrpc-cdsp";
const std::string secure = "/dev/fastrpc-cdsp-secure";

std::unique_ptr<Device> null_device() {
    return make_misc(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/fastrpc-test");
}

} // namespace

TEST(MiscAbi, ioctl_numbers_are_those_of_the_kernel) {
    EXPECT_EQ(misc_abi::invoke, 0xC0105203U);
    EXPECT_EQ(misc_abi::init_attach, 0x00005204U);
    EXPECT_EQ(misc_abi::init_create, 0xC0185205U);
    EXPECT_EQ(misc_abi::init_attach_sensors, 0x00005208U);
    EXPECT_EQ(misc_abi::init_create_static, 0xC0105209U);
}

TEST(MiscAbi, fields_lie_where_the_kernel_reads_them) {
    EXPECT_EQ(offsetof(misc_abi::Invoke, scalars), 4U);
    EXPECT_EQ(offsetof(misc_abi::Invoke, arguments), 8U);
    EXPECT_EQ(offsetof(misc_abi::InvokeArgument, length), 8U);
    EXPECT_EQ(offsetof(misc_abi::InvokeArgument, fd), 16U);
    EXPECT_EQ(offsetof(misc_abi::InvokeArgument, attributes), 20U);
    EXPECT_EQ(offsetof(misc_abi::InitCreate, file_fd), 4U);
    EXPECT_EQ(offsetof(misc_abi::InitCreate, attributes), 8U);
    EXPECT_EQ(offsetof(misc_abi::InitCreate, signature_length), 12U);
    EXPECT_EQ(offsetof(misc_abi::InitCreate, file), 16U);
    EXPECT_EQ(offsetof(misc_abi::InitCreateStatic, memory_length), 4U);
    EXPECT_EQ(offsetof(misc_abi::InitCreateStatic, name), 8U);
}

TEST(MiscNodes, an_unsigned_session_prefers_the_plain_node) {
    EXPECT_EQ(misc_nodes(Domain::cdsp, PdKind::unsigned_user), (std::vector{plain, secure}));
}

TEST(MiscNodes, every_other_pd_prefers_the_secure_node) {
    for (const PdKind kind : all_pd_kinds)
        if (kind != PdKind::unsigned_user) {
            EXPECT_EQ(misc_nodes(Domain::cdsp, kind), (std::vector{secure, plain})) << to_string(kind);
        }
}

TEST(OpenMisc, the_next_node_is_tried_only_after_absence_or_refused_rights) {
    for (const int os_error : {ENOENT, EACCES, EPERM}) {
        Nodes nodes{{{secure, os_error}, {plain, 0}}, {}};
        const auto device = open_misc(Domain::cdsp, PdKind::root, nodes.opener());
        ASSERT_TRUE(device) << os_error;
        EXPECT_EQ((*device)->node(), plain);
    }
    for (const int os_error : {EBUSY, EIO, EMFILE}) {
        Nodes nodes{{{secure, os_error}, {plain, 0}}, {}};
        EXPECT_FALSE(open_misc(Domain::cdsp, PdKind::root, nodes.opener())) << os_error;
        EXPECT_EQ(nodes.asked, std::vector{secure}) << os_error;
    }
}

TEST(OpenMisc, a_full_dsp_is_busy) {
    Nodes nodes{{{plain, EBUSY}}, {}};
    const auto device = open_misc(Domain::cdsp, PdKind::unsigned_user, nodes.opener());
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().kind, ErrorKind::busy);
    EXPECT_EQ(device.error().os_error, EBUSY);
}

TEST(OpenMisc, absent_nodes_are_named_with_what_to_look_at) {
    Nodes nodes;
    const auto device = open_misc(Domain::cdsp, PdKind::unsigned_user, nodes.opener());
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().kind, ErrorKind::offline);
    EXPECT_NE(device.error().text.find("no node for cdsp"), std::string::npos) << device.error().text;
    EXPECT_NE(device.error().text.find(plain + " ("), std::string::npos) << device.error().text;
    EXPECT_NE(device.error().text.find(secure + " ("), std::string::npos) << device.error().text;
    EXPECT_NE(device.error().text.find("firmware"), std::string::npos) << device.error().text;
}

TEST(OpenMisc, both_errors_are_reported_when_they_differ) {
    Nodes nodes{{{secure, EACCES}}, {}};
    const auto device = open_misc(Domain::cdsp, PdKind::root, nodes.opener());
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().kind, ErrorKind::offline);
    EXPECT_NE(device.error().text.find("Permission denied"), std::string::npos) << device.error().text;
    EXPECT_NE(device.error().text.find("No such file"), std::string::npos) << device.error().text;
}

TEST(OpenMisc, the_real_opener_says_why_a_node_does_not_open) {
    EXPECT_EQ(open_node("/dev/no-such-node"), -ENOENT);
}

TEST(MiscDevice, a_second_init_is_a_bug_whatever_the_first_was) {
    const auto device = null_device();
    const CallResult first = device->attach_root(); // /dev/null has no such ioctl: a failed init counts too
    EXPECT_EQ(first.result, -1);
    EXPECT_EQ(first.os_error, ENOTTY);
    EXPECT_THROW(device->attach_root(), std::logic_error);
    EXPECT_THROW(device->attach_sensors(), std::logic_error);
    EXPECT_THROW(device->create_static("audiopd", 3U << 20), std::logic_error);
    EXPECT_THROW(device->create_user({}, -1, 0), std::logic_error);
}

TEST(MiscDevice, a_shell_without_its_dma_buf_never_reaches_the_kernel) {
    std::array<std::byte, 16> shell{};
    const auto device = null_device();
    for (const int fd : {0, -1, -2}) EXPECT_THROW(device->create_user(shell, fd, 0), std::logic_error) << fd;
    EXPECT_THROW(device->create_user({}, 5, 0), std::logic_error);
    EXPECT_EQ(device->create_user({}, -1, 0).os_error, ENOTTY); // the refusals were no init
}

TEST(MiscDevice, arguments_that_the_scalars_do_not_count_never_reach_the_kernel) {
    const auto device = null_device();
    const std::array<Argument, 2> two{};
    EXPECT_THROW(device->invoke(16, Scalars::make(2, 1, 0), two), std::logic_error);
    EXPECT_THROW(device->invoke(16, Scalars::make(2, 2, 1), two), std::logic_error);
    EXPECT_THROW(device->invoke(16, Scalars::make(2, 1, 1, 1, 0), two), std::logic_error);
    EXPECT_EQ(device->invoke(16, Scalars::make(2, 1, 1), two).os_error, ENOTTY);
}

TEST(CallResult, only_a_lost_dsp_is_gone) {
    for (const int os_error : {EPIPE, ECONNRESET, ENODEV}) EXPECT_TRUE((CallResult{-1, os_error}.gone())) << os_error;
    EXPECT_FALSE((CallResult{-1, EINVAL}.gone()));
    EXPECT_FALSE((CallResult{aee::on_dsp(aee::bad_state), 0}.gone()));
    EXPECT_FALSE((CallResult{EPIPE, 0}.gone()));
    EXPECT_FALSE(CallResult{}.gone());
}

TEST(CallResult, people_read_the_name_of_an_errno_and_of_a_dsp_code) {
    EXPECT_EQ((CallResult{-1, EPIPE}.text()), "EPIPE (Broken pipe)");
    EXPECT_NE((CallResult{aee::on_dsp(aee::bad_state), 0}.text().find("0x8000040D")), std::string::npos);
}

TEST(DmaBuf, no_ordinary_file_is_taken_for_one) {
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_FALSE(is_dma_buf(memory.get()));
    EXPECT_FALSE(is_dma_buf(null.get()));
    EXPECT_FALSE(is_dma_buf(-1));
}

TEST(DmaBuf, its_size_is_what_the_file_says) {
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 12288), 0);
    EXPECT_EQ(dma_buf_size(memory.get()).value(), 12288U);
    EXPECT_FALSE(dma_buf_size(-1));
}

TEST(DmaHeap, a_machine_without_one_is_told_so) {
    const auto heap = open_dma_heap("/dev/dma_heap/no-such-heap");
    ASSERT_FALSE(heap);
    EXPECT_EQ(heap.error().os_error, ENOENT);
    EXPECT_NE(heap.error().text.find("/dev/dma_heap/no-such-heap"), std::string::npos);
}

TEST(DmaHeap, a_file_that_is_no_heap_fails_at_the_first_allocation) {
    const auto heap = open_dma_heap("/dev/null");
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
