// Gray images of 8 bits, and the files that they come from and go to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace imaging {

/// Longest side of an image in pixels.
inline constexpr std::uint32_t max_side = 8192;

/// Lines without padding.
struct Image {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::vector<std::uint8_t> pixels;

    [[nodiscard]] const std::uint8_t* line(std::uint32_t y) const { return &pixels[std::size_t{y} * width]; }
};

/// Reads a PNG of any depth and colour (transparent parts on black) or a PGM (P2, P5), told apart by their first bytes.
/// The error is a sentence with the path.
std::expected<Image, std::string> read_image(const std::string& path);
/// Writes a gray PNG.
std::expected<void, std::string> write_png(const std::string& path, const Image& image);

} // namespace imaging
