// Packed scalars: alignment and the behaviour at the end of the bytes.
#include "bytes.hpp"

#include "ipc/pack.hpp"

#include <gtest/gtest.h>

using namespace fastrpc;
using namespace fastrpc::test;

TEST(Pack, scalars_stand_at_multiples_of_their_size_with_zero_padding) {
    EXPECT_EQ(Packer().u8(1).u64(2).u8(3).u16(4).u8(5).u32(6).bytes(),
              hex("01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00  03 00 04 00 05 00 00 00  06 00 00 00"));
    EXPECT_EQ(Packer().u32(0x12345678).i32(-2).bytes(), hex("78 56 34 12 fe ff ff ff"));
    EXPECT_TRUE(Packer().bytes().empty());
}

TEST(Pack, what_was_packed_is_unpacked) {
    const Bytes bytes = Packer()
                            .u8(0xFF)
                            .u64(0x0123456789ABCDEF)
                            .text("abc")
                            .i32(-7)
                            .text("")
                            .u16(0xBEEF)
                            .text(std::string_view("\0x", 2))
                            .u32(9)
                            .bytes();
    Unpacker in(bytes);
    EXPECT_EQ(in.u8(), 0xFF);
    EXPECT_EQ(in.u64(), 0x0123456789ABCDEFU);
    EXPECT_EQ(in.text(), "abc");
    EXPECT_EQ(in.i32(), -7);
    EXPECT_EQ(in.text(), "");
    EXPECT_EQ(in.u16(), 0xBEEF);
    EXPECT_EQ(in.text(), std::string("\0x", 2));
    EXPECT_FALSE(in.complete());
    EXPECT_EQ(in.u32(), 9U);
    EXPECT_TRUE(in.complete());
}

TEST(Pack, a_read_past_the_end_yields_zero_and_stays_failed) {
    const Bytes bytes = hex("01 02 03 04 05");
    Unpacker in(bytes);
    EXPECT_EQ(in.u32(), 0x04030201U);
    EXPECT_TRUE(in.ok());
    EXPECT_EQ(in.u32(), 0U);
    EXPECT_FALSE(in.ok());
    EXPECT_EQ(in.u8(), 0U); // the fifth byte is there, but the reading is over
    EXPECT_EQ(in.text(), "");
    EXPECT_FALSE(in.ok());
    EXPECT_FALSE(in.complete());
    Unpacker none({});
    EXPECT_TRUE(none.complete());
    EXPECT_EQ(none.u64(), 0U);
    EXPECT_FALSE(none.ok());
}

TEST(Pack, a_scalar_whose_padding_passes_the_end_is_refused) {
    for (std::size_t size = 1; size < 16; ++size) {
        const Bytes bytes(size, std::byte{1});
        Unpacker in(bytes);
        in.u8();
        EXPECT_EQ(in.u64(), 0U);
        EXPECT_FALSE(in.ok()) << size;
    }
}

TEST(Pack, a_text_longer_than_its_bytes_is_refused) {
    for (const char* text : {"01 00 00 00", "ff ff ff ff 61", "04 00 00 00 61 62 63", "00 00 00"}) {
        const Bytes bytes = hex(text);
        Unpacker in(bytes);
        EXPECT_EQ(in.text(), "");
        EXPECT_FALSE(in.ok()) << text;
    }
    const Bytes exact = hex("03 00 00 00 61 62 63");
    Unpacker in(exact);
    EXPECT_EQ(in.text(), "abc");
    EXPECT_TRUE(in.complete());
}
