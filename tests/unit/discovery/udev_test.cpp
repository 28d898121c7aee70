// The udev path, with messages in libudev's format on the netlink group of a network namespace that is the test's own.
//
// A message: 8 bytes "libudev\0", magic (big endian), header size, offset and length of the properties, hashes that the
// receiver's filter looks at (big endian), then "KEY=VALUE\0" pairs.
#include "base/unique_fd.hpp"
#include "discovery/watcher.hpp"
#include "tests/unit/discovery/events.hpp"
#include "tests/unit/discovery/fake_machine.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::discovery;
using discovery::test::events_of;
using discovery::test::FakeMachine;
using Kind = NodeEvent::Kind;

namespace {

constexpr std::uint32_t udev_group = 2;

// MurmurHash2 with seed 0: what the filter compares subsystems by.
std::uint32_t hash_of(std::string_view text) {
    constexpr std::uint32_t factor = 0x5bd1e995;
    std::uint32_t hash = static_cast<std::uint32_t>(text.size());
    for (; text.size() >= 4; text.remove_prefix(4)) {
        std::uint32_t word = 0;
        std::memcpy(&word, text.data(), 4);
        word *= factor;
        hash = (hash * factor) ^ ((word ^ word >> 24) * factor);
    }
    for (std::size_t i = text.size(); i > 0; --i)
        hash ^= static_cast<std::uint32_t>(static_cast<unsigned char>(text[i - 1])) << (8 * (i - 1));
    if (!text.empty()) hash *= factor;
    hash = (hash ^ hash >> 13) * factor;
    return hash ^ hash >> 15;
}

struct Header {
    char prefix[8] = "libudev";
    std::uint32_t magic = htonl(0xfeedcafe);
    std::uint32_t header_size = sizeof(Header);
    std::uint32_t properties_offset = sizeof(Header);
    std::uint32_t properties_length = 0;
    std::uint32_t subsystem_hash = 0;
    std::uint32_t devtype_hash = 0;
    std::uint32_t tag_bloom_high = 0;
    std::uint32_t tag_bloom_low = 0;
};

class FakeUdev {
public:
    FakeUdev() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT)) {}

    [[nodiscard]] bool say(const std::string& action, const std::string& subsystem, const std::string& name) {
        const std::string base = name.substr(name.rfind('/') + 1);
        const std::string properties = fmt::format(
            "ACTION={0}{1}DEVPATH=/devices/virtual/{2}/{3}{1}SUBSYSTEM={2}{1}DEVNAME=/dev/{4}{1}MAJOR=10{1}MINOR=60{1}"
            "SEQNUM={5}{1}",
            action, '\0', subsystem, base, name, ++sequence_);
        Header header;
        header.properties_length = static_cast<std::uint32_t>(properties.size());
        header.subsystem_hash = htonl(hash_of(subsystem));
        sockaddr_nl group{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = udev_group};
        iovec parts[] = {{&header, sizeof header}, {const_cast<char*>(properties.data()), properties.size()}};
        msghdr message{};
        message.msg_name = &group;
        message.msg_namelen = sizeof group;
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        return ::sendmsg(socket_.get(), &message, 0) > 0;
    }

private:
    UniqueFd socket_;
    std::uint64_t sequence_ = 100;
};

// A thread may have a network namespace of its own; nothing of it outlives the thread.
void in_own_network(const std::function<void()>& body) {
    std::thread([&] {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "these tests run as root";
        body();
    }).join();
}

} // namespace

TEST(Udev, tells_of_nodes_of_both_subsystems_and_of_no_other) {
    in_own_network([] {
        const FakeMachine fake;
        auto watcher = Watcher::open(fake.roots(), Watcher::Means::udev);
        ASSERT_TRUE(watcher) << watcher.error().text;
        EXPECT_EQ((*watcher)->means(), "udev");
        FakeUdev udev;
        ASSERT_TRUE(udev.say("add", "misc", "fastrpc-cdsp"));
        ASSERT_TRUE(udev.say("add", "tty", "fastrpc-adsp")); // not of these subsystems
        ASSERT_TRUE(udev.say("add", "misc", "hpet"));
        fake.add_accel(0, "gdsp1");
        ASSERT_TRUE(udev.say("add", "accel", "accel/accel0"));
        ASSERT_TRUE(udev.say("change", "misc", "fastrpc-cdsp"));
        ASSERT_TRUE(udev.say("remove", "misc", "fastrpc-cdsp"));
        const auto events = events_of(**watcher, 4);
        ASSERT_EQ(events.size(), 4U);
        EXPECT_EQ(events[0], (NodeEvent{Kind::added, {fake.dev("fastrpc-cdsp"), Backend::misc, Domain::cdsp, false}}));
        EXPECT_EQ(events[1],
                  (NodeEvent{Kind::added, {fake.dev("accel/accel0"), Backend::accel, Domain::gdsp1, false}}));
        EXPECT_EQ(events[2].kind, Kind::changed);
        EXPECT_EQ(events[3].kind, Kind::removed);
        EXPECT_EQ((*watcher)->nodes().size(), 1U);
    });
}

TEST(Udev, a_thousand_quick_restarts_are_two_thousand_events_in_order) {
    in_own_network([] {
        const FakeMachine fake;
        auto watcher = Watcher::open(fake.roots(), Watcher::Means::udev);
        ASSERT_TRUE(watcher) << watcher.error().text;
        FakeUdev udev;
        for (int i = 0; i < 1000; ++i) {
            ASSERT_TRUE(udev.say("add", "misc", "fastrpc-cdsp-secure"));
            ASSERT_TRUE(udev.say("remove", "misc", "fastrpc-cdsp-secure"));
        }
        const auto events = events_of(**watcher, 2000);
        ASSERT_EQ(events.size(), 2000U);
        for (std::size_t i = 0; i < events.size(); ++i)
            ASSERT_EQ(events[i].kind, i % 2 == 0 ? Kind::added : Kind::removed) << i;
    });
}

TEST(Udev, what_the_socket_could_not_hold_is_made_up_for_by_a_scan) {
    in_own_network([] {
        const FakeMachine fake;
        fake.add_node("fastrpc-sdsp");
        auto watcher = Watcher::open(fake.roots(), Watcher::Means::udev);
        ASSERT_TRUE(watcher) << watcher.error().text;
        FakeUdev udev;
        // Far more than the buffer holds; a multicast that finds it full is not an error of the sender.
        for (int i = 0; i < 60000; ++i) std::ignore = udev.say("change", "misc", "hpet");
        fake.remove_node("fastrpc-sdsp");
        fake.add_node("fastrpc-cdsp");
        const auto events = events_of(**watcher, 2);
        ASSERT_EQ(events.size(), 2U);
        EXPECT_EQ(events[0].node.domain, Domain::sdsp);
        EXPECT_EQ(events[0].kind, Kind::removed);
        EXPECT_EQ(events[1].node.domain, Domain::cdsp);
        EXPECT_EQ(events[1].kind, Kind::added);
        // And it goes on hearing.
        ASSERT_TRUE(udev.say("remove", "misc", "fastrpc-cdsp"));
        EXPECT_EQ(events_of(**watcher, 1).size(), 1U);
    });
}

TEST(Udev, is_not_asked_about_a_machine_that_is_not_the_kernels) {
    const FakeMachine fake;
    fake.write("run/udev/control", "");
    fake.write("sys/class/misc/hpet", "");
    const auto watcher = Watcher::open(fake.roots());
    ASSERT_TRUE(watcher);
    EXPECT_EQ((*watcher)->means(), "inotify");
}
