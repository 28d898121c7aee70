#include "ipc/aee.hpp"
#include "vdsp/dsp/sha256.hpp"
#include "vdsp/dsp/shell.hpp"

#include <gtest/gtest.h>
#include <span>
#include <string_view>

namespace fastrpc::vdsp {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST(Shell, says_what_it_is_made_for) {
    const auto mismatch = static_cast<std::int32_t>(0x8000054F);
    EXPECT_EQ(check_shell(bytes("FASTRPC-VDSP-SHELL unsigned 3\n\0\0"), Domain::cdsp, true), 0);
    EXPECT_EQ(check_shell(bytes("FASTRPC-VDSP-SHELL signed 0\nx"), Domain::adsp, false), 0);
    EXPECT_EQ(check_shell(bytes("FASTRPC-VDSP-SHELL signed 3\n"), Domain::cdsp, true), mismatch);
    EXPECT_EQ(check_shell(bytes("FASTRPC-VDSP-SHELL unsigned 33\n"), Domain::cdsp, true), mismatch);
    EXPECT_EQ(check_shell(bytes("FASTRPC-VDSP-SHELL unsigned 3"), Domain::cdsp, true), mismatch) << "cut off";
}

TEST(Shell, may_be_missing_on_modem_and_sensors_only) {
    const auto missing = static_cast<std::int32_t>(0x80000416);
    EXPECT_EQ(check_shell({}, Domain::sdsp, false), 0);
    EXPECT_EQ(check_shell({}, Domain::mdsp, false), 0);
    EXPECT_EQ(check_shell({}, Domain::cdsp, true), missing);
    EXPECT_EQ(check_shell({}, Domain::adsp, false), missing);
}

TEST(Shell, of_a_vendor_is_accepted_unread) {
    EXPECT_EQ(check_shell(bytes("\x7f"
                                "ELF"),
                          Domain::cdsp, true),
              0);
}

TEST(Sha256, is_the_standard_one) {
    EXPECT_EQ(sha256(bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

} // namespace
} // namespace fastrpc::vdsp
