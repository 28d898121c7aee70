// Pictures: every kind that is promised is read right, and broken ones are refused with a reason.
#include "examples/imaging/image.hpp"
#include "tests/support/scratch.hpp"

#include <array>
#include <fstream>
#include <gtest/gtest.h>
#include <png.h>

namespace imaging {
namespace {

struct Pictures : testing::Test {
    fastrpc::test::Scratch scratch;

    std::string file(std::string_view content) {
        const std::string path = scratch.path("picture");
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    std::expected<Image, std::string> read(std::string_view content) { return read_image(file(content)); }
    void refused(std::string_view content, std::string_view why) {
        const auto image = read(content);
        ASSERT_FALSE(image) << content.substr(0, 20);
        EXPECT_NE(image.error().find(why), std::string::npos) << image.error();
        EXPECT_NE(image.error().find(scratch.path().string()), std::string::npos) << "the error must name the file";
    }
    // A PNG of 2x1 pixels in a format of libpng's simplified interface.
    template<class Pixels>
    std::string png(unsigned format, const Pixels& pixels, unsigned width = 2, unsigned height = 1) {
        const std::string path = scratch.path("picture.png");
        png_image raw{};
        raw.version = PNG_IMAGE_VERSION;
        raw.width = width;
        raw.height = height;
        raw.format = format;
        EXPECT_NE(png_image_write_to_file(&raw, path.c_str(), 0, pixels.data(), 0, nullptr), 0);
        return path;
    }
};

using Bytes = std::vector<std::uint8_t>;

TEST_F(Pictures, a_binary_pgm) {
    const auto image = read(std::string_view("P5\n3 2\n255\n\0\1\2\xfe\xff\n", 17));
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(image->width, 3U);
    EXPECT_EQ(image->height, 2U);
    EXPECT_EQ(image->pixels, (Bytes{0, 1, 2, 254, 255, 10}));
}

TEST_F(Pictures, a_text_pgm_with_comments_and_a_range_of_its_own) {
    const auto image = read("P2 # made by hand\n2 2 # size\n# range\n10\n0 5\n9 10");
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(image->pixels, (Bytes{0, 128, 230, 255}));
}

TEST_F(Pictures, a_pgm_of_16_bits) {
    const auto image = read(std::string_view("P5 2 1 65535\n\x80\x00\xff\xff", 17));
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(image->pixels, (Bytes{128, 255}));
}

TEST_F(Pictures, a_gray_png_comes_back_as_written) {
    const Image image{3, 2, {1, 2, 3, 253, 254, 255}};
    const std::string path = scratch.path("gray.png");
    ASSERT_TRUE(write_png(path, image));
    const auto again = read_image(path);
    ASSERT_TRUE(again) << again.error();
    EXPECT_EQ(again->width, 3U);
    EXPECT_EQ(again->pixels, image.pixels);
}

TEST_F(Pictures, a_colour_png_becomes_gray) {
    const auto image = read_image(png(PNG_FORMAT_RGB, Bytes{77, 77, 77, 0, 255, 0}));
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(image->pixels[0], 77);
    EXPECT_GT(image->pixels[1], 180) << "green is bright";
    EXPECT_LT(image->pixels[1], 255);
}

TEST_F(Pictures, transparent_parts_are_black) {
    const auto image = read_image(png(PNG_FORMAT_RGBA, Bytes{200, 200, 200, 255, 200, 200, 200, 0}));
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(image->pixels, (Bytes{200, 0}));
}

TEST_F(Pictures, a_png_of_16_bits) {
    const auto image = read_image(png(PNG_FORMAT_LINEAR_Y, std::vector<std::uint16_t>{0, 65535}));
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(image->pixels, (Bytes{0, 255}));
}

TEST_F(Pictures, broken_files_are_refused_with_the_reason) {
    refused("", "empty");
    refused("P", "empty");
    refused("GIF89a", "neither a PNG nor a PGM");
    refused("P6\n1 1\n255\n\1\1\1", "neither a PNG nor a PGM");
    refused("P5", "header");
    refused("P5\n-1 2\n255\n", "header");
    refused("P5\n3 2\n", "header");
    refused("P5\n3x2\n255\n", "header");
    refused("P5\n99999999999 1\n255\n", "header");
    refused("P5\n0 2\n255\n", "0x2");
    refused("P5\n2 2\n0\n1234", "largest value");
    refused("P5\n2 2\n65536\n1234", "largest value");
    refused("P5\n2 2\n255\n123", "after 3 of 4");
    refused(std::string_view("P5\n2 2\n1000\n\0\1\0\1\0\1\0", 19), "after 3 of 4");
    refused("P5\n2 1\n100\n1\xff", "pixel 1 is 255");
    refused("P2\n2 1\n100\n1 101", "pixel 1 is 101");
    refused("P2\n2 1\n100\n1 x", "after 1 of 2");
    refused("\x89PNG\r\n\x1a\nrubbish that is no chunk at all", "");
    EXPECT_FALSE(read_image(scratch.path("missing.png")));
    EXPECT_FALSE(read_image(scratch.path())) << "a directory is no picture";
}

TEST_F(Pictures, too_large_ones_are_refused_before_memory_is_taken) {
    refused("P5\n8193 1\n255\n", "8193x1 pixels, 1x1 to 8192x8192 are possible");
    refused("P5\n1 8193\n255\n", "1x8193");
    refused("P5\n8192 8192\n255\nfew", "after 3 of 67108864");
    const auto wide = read_image(png(PNG_FORMAT_GRAY, Bytes(8193), 8193, 1));
    ASSERT_FALSE(wide);
    EXPECT_NE(wide.error().find("8193x1"), std::string::npos) << wide.error();
    EXPECT_TRUE(read_image(png(PNG_FORMAT_GRAY, Bytes(8192), 8192, 1)));
}

TEST_F(Pictures, a_png_cut_anywhere_is_refused_or_whole_but_never_a_crash) {
    std::string path = png(PNG_FORMAT_GRAY, Bytes(64 * 64, 7), 64, 64);
    std::ifstream in(path, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    for (std::size_t size = 0; size + 16 < whole.size(); ++size)
        EXPECT_FALSE(read(std::string_view(whole).substr(0, size))) << size;
}

TEST_F(Pictures, a_place_that_can_not_be_written_is_an_error) {
    const auto written = write_png(scratch.path("no/such/folder.png"), {1, 1, {0}});
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().find("folder.png"), std::string::npos);
}

} // namespace
} // namespace imaging
