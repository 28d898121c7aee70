// The DSP module, loaded as the virtual DSP loads it: equal to the reference on awkward sizes, and strict with its
// callers.
#include "examples/imaging/dsp/imaging.h"
#include "examples/imaging/reference.hpp"
#include "vdsp/skel.h"

#include <array>
#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <random>

namespace imaging {
namespace {

constexpr std::uint32_t open_scalars = 0x00020001, close_scalars = 0x01000010;

constexpr std::uint32_t scalars(unsigned method, unsigned in = 2, unsigned out = 1) {
    return method << 24 | in << 16 | out << 8;
}

struct Shape {
    std::uint32_t width, height, stride;
};

struct Skel : testing::Test {
    void* library = ::dlopen(IMAGING_SKEL, RTLD_NOW | RTLD_LOCAL);
    fastrpc_skel_invoke invoke = nullptr;
    std::uint64_t handle = 0;

    void SetUp() override {
        ASSERT_NE(library, nullptr) << ::dlerror();
        invoke = reinterpret_cast<fastrpc_skel_invoke>(::dlsym(library, "imaging_skel_handle_invoke"));
        ASSERT_NE(invoke, nullptr);
        std::uint32_t length = 4;
        char uri[] = "uri";
        std::array<fastrpc_skel_arg, 3> args{arg(&length, sizeof length), arg(uri, sizeof uri), {}};
        ASSERT_EQ(invoke(0, open_scalars, args.data()), 0);
        handle = args[2].handle;
        ASSERT_NE(handle, 0U);
    }
    void TearDown() override {
        fastrpc_skel_arg args{};
        args.handle = handle;
        EXPECT_EQ(invoke(handle, close_scalars, &args), 0);
        ::dlclose(library);
    }

    static fastrpc_skel_arg arg(void* data, std::size_t size) {
        fastrpc_skel_arg made{};
        made.buffer = {data, size};
        return made;
    }
    int call(unsigned method, Shape shape, std::vector<std::uint8_t>& in, std::vector<std::uint8_t>& out,
             std::size_t shape_size = sizeof(Shape)) const {
        std::array<std::byte, 32> header{};
        std::memcpy(header.data(), &shape, sizeof shape);
        std::array<fastrpc_skel_arg, 3> args{arg(header.data(), shape_size), arg(in.data(), in.size()),
                                             arg(out.data(), out.size())};
        return invoke(handle, scalars(method), args.data());
    }
};

Image random_image(std::uint32_t width, std::uint32_t height) {
    std::mt19937 random(width * 1000 + height);
    Image image{width, height, {}};
    for (std::size_t i = 0; i < std::size_t{width} * height; ++i)
        image.pixels.push_back(static_cast<std::uint8_t>(random()));
    return image;
}

// Lines of `stride` bytes, with `fill` behind the pixels.
std::vector<std::uint8_t> laid_out(const Image& image, std::uint32_t stride, std::uint8_t fill) {
    std::vector<std::uint8_t> bytes(std::size_t{stride} * image.height, fill);
    for (std::uint32_t y = 0; y < image.height; ++y)
        std::memcpy(bytes.data() + std::size_t{y} * stride, image.line(y), image.width);
    return bytes;
}

TEST_F(Skel, equals_the_reference_on_awkward_sizes) {
    const std::array<std::array<std::uint32_t, 3>, 11> sizes{{{1, 1, 1},
                                                              {1, 1, 9},
                                                              {1, 7, 1},
                                                              {7, 1, 7},
                                                              {2, 2, 2},
                                                              {3, 3, 3},
                                                              {3, 3, 5},
                                                              {5, 4, 64},
                                                              {64, 64, 64},
                                                              {63, 31, 65},
                                                              {641, 13, 704}}};
    for (const auto& [width, height, stride] : sizes) {
        const Image image = random_image(width, height);
        auto in = laid_out(image, stride, 0xEE); // what lies behind the pixels must not count
        const Shape shape{width, height, stride};
        std::vector<std::uint8_t> out(in.size(), 0xA5);
        ASSERT_EQ(call(IMAGING_SOBEL, shape, in, out), 0);
        EXPECT_EQ(out, laid_out(sobel(image), stride, 0)) << width << "x" << height << " " << stride;
        out.assign(in.size(), 0xA5);
        ASSERT_EQ(call(IMAGING_DILATE, shape, in, out), 0);
        EXPECT_EQ(out, laid_out(dilate(image), stride, 0)) << width << "x" << height << " " << stride;
        std::vector<std::uint8_t> counts(1024, 0xA5);
        ASSERT_EQ(call(IMAGING_HISTOGRAM, shape, in, counts), 0);
        EXPECT_EQ(std::memcmp(counts.data(), histogram(image).data(), 1024), 0) << width << "x" << height;
    }
}

TEST(Reference, has_the_values_of_the_definition) {
    // A step from 0 to 10, and one bright pixel.
    const Image step{4, 3, {0, 0, 10, 10, 0, 0, 10, 10, 0, 0, 10, 10}};
    EXPECT_EQ(sobel(step).pixels, (std::vector<std::uint8_t>{0, 40, 40, 0, 0, 40, 40, 0, 0, 40, 40, 0}));
    const Image dot{3, 3, {0, 0, 0, 0, 200, 0, 0, 0, 0}};
    EXPECT_EQ(dilate(dot).pixels, std::vector<std::uint8_t>(9, 200));
    EXPECT_EQ(sobel(dot).pixels, (std::vector<std::uint8_t>{255, 255, 255, 255, 0, 255, 255, 255, 255}));
    EXPECT_EQ(histogram(dot)[0], 8U);
    EXPECT_EQ(histogram(dot)[200], 1U);
}

TEST_F(Skel, refuses_every_mismatch_and_writes_nothing) {
    const Shape good{5, 4, 8};
    const auto refuse = [&](unsigned method, Shape shape, std::size_t in_size, std::size_t out_size,
                            std::size_t shape_size) {
        std::vector<std::uint8_t> in(in_size, 1), out(out_size, 0xA5);
        EXPECT_EQ(call(method, shape, in, out, shape_size), FASTRPC_SKEL_EBADPARM)
            << method << " " << shape.width << "x" << shape.height << "/" << shape.stride << " " << in_size << " "
            << out_size;
        EXPECT_EQ(out, std::vector<std::uint8_t>(out_size, 0xA5));
    };
    for (const unsigned method : {IMAGING_HISTOGRAM, IMAGING_SOBEL, IMAGING_DILATE}) {
        const std::size_t out = method == IMAGING_HISTOGRAM ? 1024 : 32;
        refuse(method, good, 31, out, 12);
        refuse(method, good, 33, out, 12);
        refuse(method, good, 32, out - 1, 12);
        refuse(method, good, 32, out + 1, 12);
        refuse(method, good, 32, out, 11);
        refuse(method, good, 0, out, 12);
        refuse(method, {0, 4, 8}, 32, out, 12);
        refuse(method, {5, 0, 8}, 0, out, 12);
        refuse(method, {9, 4, 8}, 32, out, 12);
        refuse(method, {5, 4, 0}, 32, out, 12);
        refuse(method, {5, 0x20000000, 8}, 32, out, 12); // 8 * 2^29 = 2^32
        refuse(method, {5, 4, 0x80000008}, 32, out, 12);
    }
    std::vector<std::uint8_t> in(32, 1), out(32);
    EXPECT_EQ(call(IMAGING_SOBEL, good, in, out, 16), 0) << "a longer header is allowed";
}

TEST_F(Skel, refuses_wrong_counts_handles_methods_and_overlap) {
    std::vector<std::uint8_t> memory(100, 7);
    Shape shape{4, 4, 4};
    std::array<fastrpc_skel_arg, 3> args{arg(&shape, sizeof shape), arg(memory.data(), 16), arg(memory.data() + 8, 16)};
    EXPECT_EQ(invoke(handle, scalars(IMAGING_SOBEL), args.data()), FASTRPC_SKEL_EBADPARM) << "overlap";
    args[2] = arg(memory.data() + 16, 16);
    EXPECT_EQ(invoke(handle, scalars(IMAGING_SOBEL), args.data()), 0) << "side by side";
    EXPECT_EQ(invoke(handle, scalars(IMAGING_SOBEL, 3, 0), args.data()), FASTRPC_SKEL_EBADPARM);
    EXPECT_EQ(invoke(handle, scalars(IMAGING_SOBEL, 1, 2), args.data()), FASTRPC_SKEL_EBADPARM);
    EXPECT_EQ(invoke(handle, scalars(IMAGING_SOBEL) | 0x10, args.data()), FASTRPC_SKEL_EBADPARM);
    EXPECT_EQ(invoke(handle + 1, scalars(IMAGING_SOBEL), args.data()), FASTRPC_SKEL_EBADPARM);
    EXPECT_EQ(invoke(handle, scalars(5), args.data()), FASTRPC_SKEL_EUNSUPPORTED);
    EXPECT_EQ(invoke(handle, scalars(31), args.data()), FASTRPC_SKEL_EUNSUPPORTED);
    args[1] = arg(nullptr, 16);
    EXPECT_EQ(invoke(handle, scalars(IMAGING_SOBEL), args.data()), FASTRPC_SKEL_EBADPARM) << "NULL";
    fastrpc_skel_arg wrong{};
    wrong.handle = handle + 1;
    EXPECT_EQ(invoke(handle, close_scalars, &wrong), FASTRPC_SKEL_EBADPARM);
    EXPECT_EQ(invoke(0, scalars(0), args.data()), FASTRPC_SKEL_EBADPARM);
}

} // namespace
} // namespace imaging
