// What is on the wire between fastrpcd and a host that was started by another version of it: byte by byte as it was
// when that version was released.
//
// When this fails for any version but the newest, hosts that are at work somewhere are no longer understood: mend
// ipc/control.cpp. When it fails for the newest, ask whether that was released: if so, the change needs a new version
// (ipc/control.hpp says how), else FASTRPC_WRITE_WIRE=1 writes its bytes anew.
#include "ipc/frame.hpp"
#include "tests/unit/ipc/wire.hpp"
#include "tests/unit/ipc/wire_messages.hpp"

#include <cstdlib>
#include <fmt/core.h>
#include <fstream>
#include <gtest/gtest.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

void write_newest() {
    std::ofstream out(wire_file(control_newest));
    out << "# Control messages of version " << control_newest
        << ", as each was when the version was frozen (wire_test.cpp).\n";
    each_wire_message(control_newest, [&](const std::string& name, const auto& message) {
        out << name << '\n';
        const Bytes bytes = encode(message);
        for (std::size_t i = 0; i < bytes.size(); ++i)
            out << fmt::format("{:02x}", static_cast<unsigned>(bytes[i]))
                << (i % 32 == 31 || i + 1 == bytes.size() ? "\n"
                    : i % 4 == 3                          ? " "
                                                          : "");
    });
}

} // namespace

TEST(Wire, every_message_of_every_version_has_the_bytes_that_it_was_released_with) {
    if (std::getenv("FASTRPC_WRITE_WIRE") != nullptr) write_newest();
    ASSERT_EQ(control_versions.newest, control_newest);
    for (std::uint16_t version = control_versions.oldest; version <= control_versions.newest; ++version) {
        const auto frozen = read_wire(version);
        std::size_t messages = 0;
        each_wire_message(version, [&]<class T>(const std::string& name, const T& message) {
            SCOPED_TRACE(fmt::format("{} of version {}", name, version));
            ++messages;
            ASSERT_TRUE(frozen.contains(name));
            EXPECT_EQ(encode(message, version), frozen.at(name)) << "written otherwise";
            const Result<T> read = decode<T>(frozen.at(name), version);
            ASSERT_TRUE(read) << "not read any more: " << read.error().text;
            EXPECT_EQ(encode(*read, version), frozen.at(name)) << "read otherwise";
        });
        EXPECT_EQ(frozen.size(), messages);
    }
}

TEST(Wire, a_message_is_read_in_its_own_version_alone) {
    const Description now = wire_session();
    Description before = now;
    before.program.clear();
    before.grant = in_version(now.grant, 1);
    EXPECT_NE(before.grant, now.grant);
    EXPECT_EQ(decode<Description>(encode(now, 2), 2), now);
    EXPECT_EQ(decode<Description>(encode(now, 1), 1), before);
    EXPECT_FALSE(decode<Description>(encode(now, 1), 2));
    EXPECT_FALSE(decode<Description>(encode(now, 2), 1));
}

// A peer of any version finds out by these which version it looks at.
TEST(Wire, what_begins_every_version_never_changes) {
    EXPECT_EQ(sizeof(FrameHeader), 32U);
    EXPECT_EQ(offsetof(FrameHeader, version), 4U);
    EXPECT_EQ(offsetof(FrameHeader, opcode), 6U);
    EXPECT_EQ(offsetof(FrameHeader, status), 20U);
    EXPECT_EQ(offsetof(FrameHeader, cookie), 24U);
    EXPECT_EQ(static_cast<int>(ControlOp::start), 32);
    EXPECT_EQ(static_cast<int>(ControlOp::failed), 34);
    EXPECT_EQ(static_cast<int>(ControlOp::describe), 35);
    EXPECT_EQ(static_cast<int>(ErrorKind::unsupported), 10);
    for (std::uint16_t version = 1; version <= control_newest; ++version)
        EXPECT_EQ(encode(FailedMessage{ErrorKind::unsupported, 93, "no"}, version),
                  hex("0a00 0000 5d000000 02000000 6e6f"))
            << version;
}
