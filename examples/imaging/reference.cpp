#include "examples/imaging/reference.hpp"

#include <algorithm>
#include <cstdlib>

namespace imaging {
namespace {

// The pixel, or the nearest one for a place outside.
int pixel(const Image& image, std::int64_t x, std::int64_t y) {
    x = std::clamp<std::int64_t>(x, 0, image.width - 1);
    y = std::clamp<std::int64_t>(y, 0, image.height - 1);
    return image.line(static_cast<std::uint32_t>(y))[x];
}

using Kernel = std::array<std::array<int, 3>, 3>;
constexpr Kernel across{{{-1, 0, 1}, {-2, 0, 2}, {-1, 0, 1}}};
constexpr Kernel down{{{-1, -2, -1}, {0, 0, 0}, {1, 2, 1}}};

// Calls `visit(value, column, row)` for the nine places around (x, y), columns and rows 0 to 2.
void around(const Image& image, std::uint32_t x, std::uint32_t y, auto visit) {
    for (unsigned row = 0; row < 3; ++row)
        for (unsigned column = 0; column < 3; ++column)
            visit(pixel(image, std::int64_t{x} + column - 1, std::int64_t{y} + row - 1), column, row);
}

Image map(const Image& image, auto value_at) {
    Image result{image.width, image.height, {}};
    result.pixels.reserve(image.pixels.size());
    for (std::uint32_t y = 0; y < image.height; ++y)
        for (std::uint32_t x = 0; x < image.width; ++x)
            result.pixels.push_back(static_cast<std::uint8_t>(value_at(x, y)));
    return result;
}

} // namespace

std::array<std::uint32_t, 256> histogram(const Image& image) {
    std::array<std::uint32_t, 256> counts{};
    std::ranges::for_each(image.pixels, [&](std::uint8_t value) { ++counts[value]; });
    return counts;
}

Image sobel(const Image& image) {
    return map(image, [&](std::uint32_t x, std::uint32_t y) {
        int gx = 0, gy = 0;
        around(image, x, y, [&](int value, unsigned column, unsigned row) {
            gx += value * across[row][column];
            gy += value * down[row][column];
        });
        return std::min(255, std::abs(gx) + std::abs(gy));
    });
}

Image dilate(const Image& image) {
    return map(image, [&](std::uint32_t x, std::uint32_t y) {
        int most = 0;
        around(image, x, y, [&](int value, unsigned, unsigned) { most = std::max(most, value); });
        return most;
    });
}

} // namespace imaging
