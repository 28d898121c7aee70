// The scalars word against the values that the specifications give.
#include "ipc/scalars.hpp"

#include <gtest/gtest.h>

using namespace fastrpc;

namespace {

struct Vector {
    const char* call;
    std::uint32_t word;
    unsigned method;
    unsigned in;
    unsigned out;
};

// USERSPACE 2.1, 4.2, 4.6, 4.7, 5.2 and KERNEL 1.12, 7.
constexpr Vector vectors[] = {
    {"example", 0x04020200, 4, 2, 2},
    {"example, extended", 0x1F020100, 31, 2, 1},
    {"init2 on h3", 0x03000000, 3, 0, 0},
    {"init2 on h7", 0x05000000, 5, 0, 0},
    {"next2 on h3", 0x04020200, 4, 2, 2},
    {"next2 on h7", 0x06020200, 6, 2, 2},
    {"get_in_bufs2 on h3", 0x05010200, 5, 1, 2},
    {"get_in_bufs2 on h7", 0x07010200, 7, 1, 2},
    {"apps_remotectl open", 0x00020200, 0, 2, 2},
    {"apps_remotectl close", 0x01010200, 1, 1, 2},
    {"fopen", 0x00030100, 0, 3, 1},
    {"freopen", 0x01030100, 1, 3, 1},
    {"fflush", 0x02010000, 2, 1, 0},
    {"fclose", 0x03010000, 3, 1, 0},
    {"fread", 0x04010200, 4, 1, 2},
    {"fwrite", 0x05020100, 5, 2, 1},
    {"fgetpos", 0x06010200, 6, 1, 2},
    {"fsetpos", 0x07020000, 7, 2, 0},
    {"ftell", 0x08010100, 8, 1, 1},
    {"fseek", 0x09010000, 9, 1, 0},
    {"flen", 0x0A010100, 10, 1, 1},
    {"rewind", 0x0B010000, 11, 1, 0},
    {"feof", 0x0C010100, 12, 1, 1},
    {"ferror", 0x0D010100, 13, 1, 1},
    {"clearerr", 0x0E010000, 14, 1, 0},
    {"print_string", 0x0F020000, 15, 2, 0},
    {"getenv", 0x10020200, 16, 2, 2},
    {"setenv", 0x11030000, 17, 3, 0},
    {"unsetenv", 0x12020000, 18, 2, 0},
    {"fopen_with_env", 0x13050100, 19, 5, 1},
    {"fgets", 0x14010200, 20, 1, 2},
    {"get_search_paths_with_env, 3 paths", 0x15040400, 21, 4, 4},
    {"fileExists", 0x16020100, 22, 2, 1},
    {"fsync", 0x17010000, 23, 1, 0},
    {"fremove", 0x18020000, 24, 2, 0},
    {"fdopen_decrypt", 0x19010100, 25, 1, 1},
    {"opendir", 0x1A020100, 26, 2, 1},
    {"closedir", 0x1B010000, 27, 1, 0},
    {"readdir", 0x1C010100, 28, 1, 1},
    {"mkdir", 0x1D020000, 29, 2, 0},
    {"rmdir", 0x1E020000, 30, 2, 0},
    {"stat", 0x1F020100, 31, 2, 1},
    {"ftrunc", 0x1F010000, 31, 1, 0},
    {"frename", 0x1F030000, 31, 3, 0},
    {"fopen_fd", 0x1F030100, 31, 3, 1},
    {"fopen_with_env_fd", 0x1F050100, 31, 5, 1},
    {"kernel attach", 0x00010000, 0, 1, 0},
    {"kernel release", 0x01010000, 1, 1, 0},
    {"kernel mmap", 0x04020100, 4, 2, 1},
    {"kernel munmap", 0x05010000, 5, 1, 0},
    {"kernel create", 0x06040000, 6, 4, 0},
    {"kernel create with attributes", 0x07040000, 7, 4, 0},
    {"kernel create static", 0x08030000, 8, 3, 0},
    {"kernel mem map", 0x0A030100, 10, 3, 1},
    {"kernel mem unmap", 0x0B010000, 11, 1, 0},
    {"kernel get info", 0x00010100, 0, 1, 1},
};

} // namespace

TEST(Scalars, are_made_and_read_as_the_specifications_say) {
    for (const Vector& v : vectors) {
        EXPECT_EQ(Scalars::make(v.method, v.in, v.out).word, v.word) << v.call;
        const Scalars scalars{v.word};
        EXPECT_EQ(scalars.method(), v.method) << v.call;
        EXPECT_EQ(scalars.in_buffers(), v.in) << v.call;
        EXPECT_EQ(scalars.out_buffers(), v.out) << v.call;
        EXPECT_EQ(scalars.buffers(), v.in + v.out) << v.call;
        EXPECT_EQ(scalars.arguments(), v.in + v.out) << v.call;
        EXPECT_EQ(scalars.attribute(), 0U) << v.call;
    }
}

TEST(Scalars, each_field_reaches_its_maximum_without_touching_another) {
    EXPECT_EQ(Scalars::make(31, 0, 0).word, 0x1F000000U);
    EXPECT_EQ(Scalars::make(0, 255, 0).word, 0x00FF0000U);
    EXPECT_EQ(Scalars::make(0, 0, 255).word, 0x0000FF00U);
    EXPECT_EQ(Scalars::make(0, 0, 0, 15).word, 0x000000F0U);
    EXPECT_EQ(Scalars::make(0, 0, 0, 0, 15).word, 0x0000000FU);
    const Scalars all{0xFFFFFFFF};
    EXPECT_EQ(all.attribute(), 7U);
    EXPECT_EQ(all.in_handles(), 15U);
    EXPECT_EQ(all.out_handles(), 15U);
    EXPECT_EQ(all.arguments(), max_arguments);
    EXPECT_EQ(Scalars::make(32, 256, 256, 16, 16).word, 0U); // masked, never spilled into a neighbour
}
