// The numbers of the kernel's own calls, KERNEL 7 and 1.12.
#include "vdsp/wire/kernel_calls.hpp"

#include <cstddef>
#include <gtest/gtest.h>

namespace fastrpc::vdsp::kernel_call {
namespace {

TEST(KernelCalls, scalars_count_what_the_specification_lists) {
    EXPECT_EQ(attach, Scalars::make(0, 1, 0));
    EXPECT_EQ(release, Scalars::make(1, 1, 0));
    EXPECT_EQ(mmap, Scalars::make(4, 2, 1));
    EXPECT_EQ(munmap, Scalars::make(5, 1, 0));
    EXPECT_EQ(create, Scalars::make(6, 4, 0));
    EXPECT_EQ(create_attr, Scalars::make(7, 4, 0));
    EXPECT_EQ(create_static, Scalars::make(8, 3, 0));
    EXPECT_EQ(mem_map, Scalars::make(10, 3, 1));
    EXPECT_EQ(mem_unmap, Scalars::make(11, 1, 0));
    EXPECT_EQ(get_info, Scalars::make(0, 1, 1));
}

TEST(KernelCalls, bodies_have_their_fields_where_the_kernel_puts_them) {
    EXPECT_EQ(offsetof(MmapBody, address), 8U);
    EXPECT_EQ(offsetof(MmapBody, num), 16U);
    EXPECT_EQ(offsetof(MunmapBody, size), 16U);
    EXPECT_EQ(offsetof(MemMapBody, offset), 8U);
    EXPECT_EQ(offsetof(MemMapBody, address), 16U);
    EXPECT_EQ(offsetof(MemMapBody, num), 24U);
    EXPECT_EQ(offsetof(MemUnmapBody, address), 8U);
    EXPECT_EQ(offsetof(CreateBody, attributes), 16U);
    EXPECT_EQ(offsetof(CreateStaticBody, pages), 8U);
}

} // namespace
} // namespace fastrpc::vdsp::kernel_call
