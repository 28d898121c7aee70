// The kernel side of a payload: every reference vector of KERNEL 7 and the rules of KERNEL 1.11.5.
#include "vdsp/wire/payload_layout.hpp"

#include <cstring>
#include <gtest/gtest.h>

namespace fastrpc::vdsp {
namespace {

constexpr std::uint64_t a = 0x7f0000000000;
constexpr PayloadPlace place{.dma = 0x2'1000'0000, .kernel = 0xffff'8000'1000'0000};

struct Built {
    PayloadLayout layout;
    std::vector<std::byte> bytes;

    template<class T>
    T at(std::size_t offset) const {
        T value;
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }
    void put(std::size_t offset, std::uint64_t value) { std::memcpy(bytes.data() + offset, &value, sizeof value); }
};

LayoutArgument plain(std::uint64_t pointer, std::uint64_t length) {
    return {.pointer = pointer, .length = length, .fd = -1};
}
LayoutArgument mapped(std::uint64_t pointer, std::uint64_t length, std::uint64_t dma, std::optional<std::uint64_t> vma,
                      std::int32_t fd = 7) {
    return {.pointer = pointer,
            .length = length,
            .fd = fd,
            .mapped = true,
            .dma = dma,
            .dma_size = 65536,
            .vma_start = vma};
}

Built build(Scalars scalars, const std::vector<LayoutArgument>& arguments) {
    auto layout = lay_out(scalars, arguments);
    EXPECT_TRUE(layout) << layout.error().text;
    Built built{.layout = *layout, .bytes = std::vector<std::byte>((layout->size + 4095) & ~std::uint64_t{4095})};
    write_tables(built.layout, arguments, place, built.bytes);
    return built;
}

std::vector<std::uint64_t> offsets(const Built& built) {
    std::vector<std::uint64_t> all;
    for (const Placement& placement : built.layout.placements) all.push_back(placement.offset);
    return all;
}

using Offsets = std::vector<std::uint64_t>;

TEST(PayloadVectors, an_empty_argument_takes_no_room_among_overlapping_ones) {
    const Built built = build(Scalars::make(2, 3, 0, 0, 0), {plain(a, 100), plain(a + 50, 0), plain(a + 60, 100)});
    EXPECT_EQ(built.layout.placements[0].offset, 512U);
    EXPECT_FALSE(built.layout.placements[1].present);
    EXPECT_EQ(built.layout.placements[2].offset, 572U); // shares bytes 60..99 of the first
    EXPECT_EQ(built.layout.size, 672U);
}

TEST(PayloadVectors, no_arguments_still_have_the_lists) {
    const Built built = build(Scalars{0}, {});
    EXPECT_EQ(built.layout.size, 384U);
    EXPECT_EQ(built.bytes.size(), 4096U);
    EXPECT_EQ(built.bytes, std::vector<std::byte>(4096));
}

TEST(PayloadVectors, attach_is_four_bytes_at_512) {
    const Built built = build(Scalars{0x00010000}, {plain(a, 4)});
    EXPECT_EQ(meta_bytes(Scalars{0x00010000}), 424U);
    EXPECT_EQ(offsets(built), Offsets{512});
    EXPECT_EQ(built.layout.size, 516U);
}

TEST(PayloadVectors, mmap_in_ascending_addresses) {
    const Built built = build(Scalars{0x04020100}, {plain(a, 24), plain(a + 0x100, 16), plain(a + 0x200, 8)});
    EXPECT_EQ(offsets(built), (Offsets{512, 640, 768}));
    EXPECT_EQ(built.layout.size, 776U);
}

TEST(PayloadVectors, mmap_in_the_memory_order_of_arm64) {
    const Built built = build(Scalars{0x04020100}, {plain(a + 0x200, 24), plain(a + 0x100, 16), plain(a, 8)});
    EXPECT_EQ(offsets(built), (Offsets{768, 640, 512}));
    EXPECT_EQ(built.layout.size, 792U);
}

TEST(PayloadVectors, a_page_in_and_a_page_out_span_two_pages_each) {
    const Built built = build(Scalars{0x02010100}, {plain(a, 4096), plain(a + 0x10000, 4096)});
    EXPECT_EQ(meta_bytes(Scalars{0x02010100}), 464U);
    EXPECT_EQ(offsets(built), (Offsets{512, 4608}));
    EXPECT_EQ(built.layout.size, 8704U);
    EXPECT_EQ(built.bytes.size(), 12288U);
    EXPECT_EQ(built.at<std::uint64_t>(48 + 8), 8192U);
    EXPECT_EQ(built.at<std::uint64_t>(64 + 8), 8192U);
    EXPECT_EQ(built.at<std::uint64_t>(48), place.dma);
    EXPECT_EQ(built.at<std::uint64_t>(64), place.dma + 4096);
}

TEST(PayloadVectors, an_argument_inside_another_shares_its_bytes) {
    const Built built = build(Scalars{0x02030000}, {plain(a, 100), plain(a + 10, 20), plain(a + 200, 30)});
    EXPECT_EQ(offsets(built), (Offsets{512, 522, 640}));
    EXPECT_EQ(built.layout.size, 670U);
}

TEST(PayloadVectors, a_chain_of_overlaps_is_one_run) {
    const Built built = build(Scalars{0x02030000}, {plain(a + 120, 80), plain(a + 50, 100), plain(a, 100)});
    EXPECT_EQ(offsets(built), (Offsets{632, 562, 512}));
    EXPECT_EQ(built.layout.size, 712U);
}

TEST(PayloadVectors, touching_ranges_do_not_overlap) {
    const Built built = build(Scalars{0x02020000}, {plain(a, 100), plain(a + 100, 100)});
    EXPECT_EQ(offsets(built), (Offsets{512, 640}));
    EXPECT_EQ(built.layout.size, 740U);
}

TEST(PayloadVectors, an_output_overlaps_an_input) {
    const Built built = build(Scalars{0x02010100}, {plain(a, 100), plain(a + 50, 100)});
    EXPECT_EQ(offsets(built), (Offsets{512, 562}));
    EXPECT_EQ(built.layout.size, 662U);
}

TEST(PayloadVectors, a_mapped_input_takes_no_space) {
    const Built built = build(Scalars{0x02010000}, {mapped(a, 65536, 0x2'4000'0000, a)});
    EXPECT_EQ(built.layout.size, 512U);
    EXPECT_EQ(built.bytes.size(), 4096U);
    EXPECT_FALSE(built.layout.placements[0].present);
}

TEST(PayloadTables, are_exact_to_the_byte) {
    const Built built =
        build(Scalars::make(2, 1, 1, 1), {plain(a + 3, 5), mapped(a + 0x5014, 5000, 0x2'4000'0000, a + 0x4000),
                                          mapped(0x1'0000'0010, 0x2'0000'0020, 0x2'5000'0000, {}, 9)});
    std::vector<std::byte> expected(4096);
    const auto put64 = [&](std::size_t at, std::uint64_t value) { std::memcpy(&expected[at], &value, 8); };
    const auto put32 = [&](std::size_t at, std::uint32_t value) { std::memcpy(&expected[at], &value, 4); };
    put64(0, place.kernel + 512);
    put64(8, 5);
    put64(16, a + 0x5014);
    put64(24, 5000);
    put32(32, 9);    // handle form: fd, offset, length, nothing
    put32(36, 0x10); // low 32 bits
    put32(40, 0x20);
    for (std::uint32_t i = 0; i < 3; ++i) {
        put32(48 + 8 * i, 1);
        put32(52 + 8 * i, i);
    }
    put64(72, place.dma);
    put64(80, 4096);
    put64(88, 0x2'4000'1000);
    put64(96, 8192);
    put64(104, 0x2'5000'0000); // handle: the whole dma-buf, offset not applied
    put64(112, 65536);
    EXPECT_EQ(built.bytes, expected);
}

TEST(PayloadTables, a_pointer_outside_any_vma_adds_nothing) {
    const Built built = build(Scalars{0x02010000}, {mapped(0x10, 8, 0x2'4000'0000, {})});
    EXPECT_EQ(built.at<std::uint64_t>(24), 0x2'4000'0000U);
    EXPECT_EQ(built.at<std::uint64_t>(0), 0x10U);
}

TEST(PayloadTables, an_empty_argument_is_all_zero_but_its_index) {
    const Built built = build(Scalars{0x02020000}, {plain(a, 0), plain(a + 64, 4)});
    EXPECT_EQ(built.at<std::uint64_t>(0), 0U);
    EXPECT_EQ(built.at<std::uint64_t>(8), 0U);
    EXPECT_EQ(built.at<std::uint32_t>(32), 0U);
    EXPECT_EQ(built.at<std::uint32_t>(40 + 4), 1U);
    EXPECT_EQ(built.at<std::uint64_t>(48), 0U);
    EXPECT_EQ(built.at<std::uint64_t>(56), 0U);
}

TEST(PayloadTables, an_unmapped_handle_has_no_page_but_counts_one) {
    const Built built = build(Scalars::make(2, 0, 0, 1), {{.pointer = 4, .length = 8, .fd = -1}});
    EXPECT_EQ(built.at<std::int32_t>(0), -1);
    EXPECT_EQ(built.at<std::uint32_t>(4), 4U);
    EXPECT_EQ(built.at<std::uint32_t>(16), 1U);
    EXPECT_EQ(built.at<std::uint64_t>(24), 0U);
}

TEST(PayloadLayout, an_empty_inline_argument_aligns_what_follows) {
    const Built built = build(Scalars{0x02030000}, {plain(a, 4), plain(a + 8, 0), plain(a + 16, 4)});
    EXPECT_EQ(built.layout.placements[2].offset, 640U);
    const Built tail = build(Scalars{0x02020000}, {plain(a, 4), plain(a + 8, 0)});
    EXPECT_EQ(tail.layout.size, 640U);
}

TEST(PayloadLayout, an_inline_argument_over_a_mapped_one_is_flagged_before_it_hurts) {
    const Built built = build(Scalars{0x02020000}, {mapped(a, 8192, 0x2'4000'0000, a), plain(a + 4096, 100)});
    EXPECT_TRUE(built.layout.outside()); // the 3,568 bytes before the payload that KERNEL 1.17 saw
    EXPECT_EQ(std::uint64_t{0} - built.layout.placements[1].offset, 3584U);
    Built copy = built;
    EXPECT_TRUE(inline_bytes(copy.layout, 1, copy.bytes).empty());
}

TEST(PayloadLayout, sizes_beyond_the_allocator_are_refused) {
    const std::vector<LayoutArgument> huge{plain(a, max_payload)};
    EXPECT_EQ(lay_out(Scalars{0x00010000}, huge).error().kind, ErrorKind::quota);
    const std::vector<LayoutArgument> wrap{plain(a, ~std::uint64_t{0})};
    EXPECT_EQ(lay_out(Scalars{0x00010000}, wrap).error().kind, ErrorKind::quota);
    const std::vector<LayoutArgument> largest{plain(a, max_payload - 512)};
    EXPECT_EQ(lay_out(Scalars{0x00010000}, largest)->size, max_payload);
}

TEST(PayloadLayout, a_wrong_count_is_refused) {
    EXPECT_EQ(lay_out(Scalars{0x00010000}, {}).error().kind, ErrorKind::invalid);
}

TEST(PayloadCompletion, delivers_what_the_dsp_says_now) {
    const std::vector<LayoutArgument> arguments{plain(a, 4), plain(a + 64, 8), mapped(a + 4096, 8, 0x2'4000'0000, a)};
    Built built = build(Scalars{0x02010200}, arguments);
    built.bytes[640] = std::byte{0x5a};
    for (const std::uint64_t length : {std::uint64_t{8}, std::uint64_t{3}, std::uint64_t{12}}) {
        built.put(16 + 8, length); // shrunk and grown, both seen on a real kernel
        const auto outputs = deliveries(built.layout, arguments, place, built.bytes);
        ASSERT_TRUE(outputs);
        ASSERT_EQ(outputs->size(), 1U);
        EXPECT_EQ(outputs->front().index, 1U);
        EXPECT_EQ(outputs->front().bytes.size(), length);
        EXPECT_EQ(outputs->front().bytes[0], std::byte{0x5a});
    }
    built.put(16 + 8, 0);
    EXPECT_TRUE(deliveries(built.layout, arguments, place, built.bytes)->empty());
}

TEST(PayloadCompletion, never_leaves_the_payload) {
    const std::vector<LayoutArgument> arguments{plain(a, 8)};
    Built built = build(Scalars{0x02000100}, arguments);
    const auto refused = [&](std::uint64_t pv, std::uint64_t length) {
        built.put(0, pv);
        built.put(8, length);
        const auto outputs = deliveries(built.layout, arguments, place, built.bytes);
        return !outputs && outputs.error().kind == ErrorKind::invalid;
    };
    EXPECT_FALSE(refused(place.kernel, 4096)); // to the end of the last page
    EXPECT_TRUE(refused(place.kernel, 4097));
    EXPECT_TRUE(refused(place.kernel + 4096, 1));
    EXPECT_TRUE(refused(place.kernel - 1, 1));
    EXPECT_TRUE(refused(0, 8));
    EXPECT_TRUE(refused(place.kernel + 512, ~std::uint64_t{0}));
    EXPECT_TRUE(refused(~std::uint64_t{0}, 8));
}

TEST(PayloadCompletion, the_fd_list_ends_at_the_first_zero) {
    Built built = build(Scalars::make(2, 0, 0, 1), {{.length = 8, .fd = 5}});
    EXPECT_TRUE(fd_list(built.layout.scalars, built.bytes).empty());
    for (std::size_t i = 0; i < 20; ++i) built.put(40 + 8 * i, 5 + i);
    EXPECT_EQ(fd_list(built.layout.scalars, built.bytes).size(), 16U);
    built.put(40 + 8 * 2, 0);
    EXPECT_EQ(fd_list(built.layout.scalars, built.bytes), (std::vector<std::uint64_t>{5, 6}));
}

} // namespace
} // namespace fastrpc::vdsp
