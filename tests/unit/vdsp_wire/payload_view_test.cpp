// The DSP side of a payload: it reads what the kernel side wrote, and refuses what no kernel writes.
#include "vdsp/wire/payload_layout.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cstring>
#include <gtest/gtest.h>

namespace fastrpc::vdsp {
namespace {

constexpr PayloadPlace place{.dma = 0x2'1000'0000, .kernel = 0xffff'8000'1000'0000};
constexpr Scalars three = Scalars::make(2, 1, 1, 1);

class View : public testing::Test {
protected:
    View() {
        const std::vector<LayoutArgument> arguments{
            {.pointer = 0x7f0000001003, .length = 6000, .fd = -1},
            {.pointer = 0x7f0000205014,
             .length = 5000,
             .fd = 7,
             .mapped = true,
             .dma = 0x2'4000'0000,
             .dma_size = 65536,
             .vma_start = 0x7f0000204000},
            {.pointer = 16, .length = 32, .fd = 9, .mapped = true, .dma = 0x2'5000'0000, .dma_size = 8192}};
        const auto layout = lay_out(three, arguments);
        payload.resize(layout->size);
        write_tables(*layout, arguments, place, payload);
    }
    template<class T>
    void put(std::size_t at, T value) {
        std::memcpy(payload.data() + at, &value, sizeof value);
    }
    [[nodiscard]] bool refused(Scalars scalars = three) const {
        const auto view = view_payload(scalars, payload);
        return !view && view.error().kind == ErrorKind::invalid;
    }
    std::vector<std::byte> payload;
};

TEST_F(View, finds_the_first_byte_of_every_kind) {
    const auto view = view_payload(three, payload);
    ASSERT_TRUE(view) << view.error().text;
    ASSERT_EQ(view->size(), 3U);
    EXPECT_EQ(first_byte((*view)[0]), place.dma + 512);
    EXPECT_EQ((*view)[0].length, 6000U);
    EXPECT_EQ(first_byte((*view)[1]), 0x2'4000'1014U);
    EXPECT_EQ((*view)[1].page_size, 8192U);
    EXPECT_TRUE((*view)[2].handle);
    EXPECT_EQ((*view)[2].fd, 9);
    EXPECT_EQ((*view)[2].offset, 16U);
    EXPECT_EQ((*view)[2].length, 32U);
    EXPECT_EQ(first_byte((*view)[2]), 0x2'5000'0010U);
}

TEST_F(View, refuses_tables_that_do_not_fit) {
    payload.resize(meta_bytes(three));
    EXPECT_FALSE(refused());
    payload.resize(meta_bytes(three) - 1);
    EXPECT_TRUE(refused());
    payload.clear();
    EXPECT_TRUE(refused());
    EXPECT_TRUE(refused(Scalars{0xFFFFFFFF}));
}

TEST_F(View, refuses_a_page_index_outside_the_list) {
    put<std::uint32_t>(48 + 4, 3);
    EXPECT_TRUE(refused());
    put<std::uint32_t>(48 + 4, 0xFFFFFFFF);
    EXPECT_TRUE(refused());
}

TEST_F(View, refuses_page_counts_that_do_not_match) {
    put<std::uint32_t>(48, 2);
    EXPECT_TRUE(refused());
    put<std::uint32_t>(48, 0);
    EXPECT_TRUE(refused());
}

TEST_F(View, refuses_a_buffer_beyond_its_pages) {
    put<std::uint64_t>(8, 8192 - 512);
    EXPECT_FALSE(refused());
    put<std::uint64_t>(8, 8192 - 511);
    EXPECT_TRUE(refused());
    put<std::uint64_t>(8, ~std::uint64_t{0});
    EXPECT_TRUE(refused());
}

TEST_F(View, refuses_pages_that_wrap_or_are_not_aligned) {
    put<std::uint64_t>(72, ~std::uint64_t{0xFFF});
    EXPECT_TRUE(refused());
    put<std::uint64_t>(72, place.dma + 8);
    EXPECT_TRUE(refused());
}

TEST_F(View, an_empty_buffer_needs_no_page) {
    put<std::uint64_t>(8, 0);
    put<std::uint32_t>(48, 0);
    const auto view = view_payload(three, payload);
    ASSERT_TRUE(view);
    EXPECT_EQ((*view)[0].page, 0U);
    EXPECT_EQ((*view)[0].page_size, 0U);
}

} // namespace
} // namespace fastrpc::vdsp
