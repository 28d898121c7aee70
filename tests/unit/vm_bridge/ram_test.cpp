// The memory of a guest's DSP: what /proc/iomem says, and which address finds what.
#include "tests/vm/bridge/ram.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace fastrpc::vm {
namespace {

constexpr std::string_view iomem = "09000000-09000fff : pl011@9000000\n"
                                   "  09000000-09000fff : 9000000.pl011 pl011@9000000\n"
                                   "40000000-5fffffff : System RAM\n"
                                   "  40210000-4246ffff : Kernel code\n"
                                   "60001000-60002fff : System RAM\n";

TEST(Ram, is_what_iomem_calls_system_ram) {
    const auto ranges = Ram::ranges(iomem);
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_EQ(ranges[0].first, 0x40000000U);
    EXPECT_EQ(ranges[0].size, 0x20000000U);
    EXPECT_EQ(ranges[1].first, 0x60001000U);
    EXPECT_EQ(ranges[1].size, 0x2000U);
}

TEST(Ram, a_last_line_without_its_end_counts) {
    EXPECT_EQ(Ram::ranges("40000000-40000fff : System RAM").size(), 1U);
}

TEST(Ram, only_whole_pages_that_32_bits_can_name) {
    EXPECT_TRUE(Ram::ranges("40000800-40000fff : System RAM\n").empty());
    EXPECT_TRUE(Ram::ranges("100000000-13fffffff : System RAM\n").empty());
    const auto across = Ram::ranges("c0000000-13fffffff : System RAM\n");
    ASSERT_EQ(across.size(), 1U);
    EXPECT_EQ(across[0].first + across[0].size, std::uint64_t{1} << 32);
}

TEST(Ram, what_an_ordinary_user_reads_names_no_memory) {
    EXPECT_TRUE(Ram::ranges("00000000-00000000 : System RAM\n").empty());
    EXPECT_TRUE(Ram::ranges("zz-7fffffff : System RAM\n-1 : System RAM\n40000000 : System RAM\n").empty());
    EXPECT_TRUE(Ram::ranges("").empty());
}

TEST(Ram, a_window_covers_its_range_at_the_prefix_of_its_sid) {
    UniqueFd memory(::memfd_create("ram", MFD_CLOEXEC));
    const int number = memory.get();
    const Ram ram(Ram::ranges(iomem), std::move(memory));
    for (const std::uint64_t sid : {0U, 1U, 3U, 0xFFFFU}) {
        const auto window = ram.window((sid << 32) + 0x43f16010);
        ASSERT_TRUE(window) << sid;
        EXPECT_EQ(window->address, (sid << 32) + 0x40000000);
        EXPECT_EQ(window->size, 0x20000000U);
        EXPECT_EQ(window->offset, 0x40000000U);
        struct stat ours {};
        struct stat theirs {};
        ASSERT_EQ(::fstat(number, &ours), 0);
        ASSERT_EQ(::fstat(window->fd.get(), &theirs), 0);
        EXPECT_EQ(ours.st_ino, theirs.st_ino);
        EXPECT_NE(window->fd.get(), number) << "the taker closes what it got";
    }
}

TEST(Ram, an_address_beside_the_ram_has_no_window) {
    const Ram ram(Ram::ranges(iomem), UniqueFd(::memfd_create("ram", MFD_CLOEXEC)));
    for (const std::uint64_t address : {0x0U, 0x09000000U, 0x3fffffffU, 0x60000000U, 0x60003000U, 0xffffffffU})
        EXPECT_FALSE(ram.window((std::uint64_t{1} << 32) + address)) << address;
    EXPECT_TRUE(ram.window(0x5fffffff));
    EXPECT_TRUE(ram.window(0x60002fff));
}

TEST(Ram, a_missing_module_is_named) {
    const auto ram = Ram::open("/nonexistent/dsplink-memory");
    ASSERT_FALSE(ram);
    EXPECT_NE(ram.error().text.find("dsplink"), std::string::npos) << ram.error().text;
}

} // namespace
} // namespace fastrpc::vm
