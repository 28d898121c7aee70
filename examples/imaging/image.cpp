#include "examples/imaging/image.hpp"

#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <fstream>
#include <istream>
#include <optional>
#include <png.h>
#include <string_view>

namespace imaging {
namespace {

std::unexpected<std::string> bad(const std::string& path, std::string_view why) {
    return std::unexpected(fmt::format("{}: {}", path, why));
}

std::string too_large(std::uint64_t width, std::uint64_t height) {
    return fmt::format("{}x{} pixels, 1x1 to {}x{} are possible", width, height, max_side, max_side);
}

bool fits(std::uint64_t width, std::uint64_t height) {
    return width > 0 && height > 0 && width <= max_side && height <= max_side;
}

// libpng's simplified interface: it converts, and reports errors without longjmp through our frames.
struct PngImage {
    png_image raw{};
    PngImage() { raw.version = PNG_IMAGE_VERSION; }
    PngImage(const PngImage&) = delete;
    ~PngImage() { png_image_free(&raw); }
};

std::expected<Image, std::string> read_png(const std::string& path) {
    PngImage png;
    if (png_image_begin_read_from_file(&png.raw, path.c_str()) == 0) return bad(path, png.raw.message);
    // Before any memory is asked for: a small file can claim a huge image.
    if (!fits(png.raw.width, png.raw.height)) return bad(path, too_large(png.raw.width, png.raw.height));
    png.raw.format = PNG_FORMAT_GRAY;
    Image image{png.raw.width, png.raw.height, std::vector<std::uint8_t>(std::size_t{png.raw.width} * png.raw.height)};
    const png_color black{};
    if (png_image_finish_read(&png.raw, &black, image.pixels.data(), static_cast<png_int_32>(image.width), nullptr) ==
        0)
        return bad(path, png.raw.message);
    return image;
}

// A number of the header or of a P2, after white space and comments; nothing when there is none or it is above a
// million.
std::optional<std::uint32_t> number(std::istream& in) {
    int c = in.get();
    while (c == '#' || std::isspace(c) != 0) {
        if (c == '#')
            while (c != '\n' && c != EOF) c = in.get();
        else
            c = in.get();
    }
    if (std::isdigit(c) == 0) return std::nullopt;
    std::uint32_t value = 0;
    for (; std::isdigit(c) != 0; c = in.get()) {
        value = value * 10 + static_cast<std::uint32_t>(c - '0');
        if (value > 1'000'000) return std::nullopt;
    }
    // The one white-space character after a number is part of it; P5's pixels begin right behind.
    if (c != EOF && std::isspace(c) == 0) return std::nullopt;
    return value;
}

std::optional<std::uint32_t> binary(std::istream& in, std::uint32_t most) {
    const int high = most > 255 ? in.get() : 0;
    const int low = in.get();
    if (high == EOF || low == EOF) return std::nullopt;
    return static_cast<std::uint32_t>(high) << 8 | static_cast<std::uint32_t>(low);
}

std::expected<Image, std::string> read_pgm(const std::string& path, std::istream& in, bool text) {
    const auto width = number(in), height = number(in), most = number(in);
    if (!width || !height || !most) return bad(path, "its PGM header is broken");
    if (!fits(*width, *height)) return bad(path, too_large(*width, *height));
    if (*most == 0 || *most > 65535)
        return bad(path, fmt::format("its largest value is {}, 1 to 65535 are possible", *most));
    Image image{*width, *height, {}};
    const std::size_t count = std::size_t{*width} * *height;
    // Grows with what the file has, not with what it claims.
    for (std::size_t i = 0; i < count; ++i) {
        const auto value = text ? number(in) : binary(in, *most);
        if (!value) return bad(path, fmt::format("ends, or is broken, after {} of {} pixels", i, count));
        if (*value > *most)
            return bad(path, fmt::format("pixel {} is {}, above its largest value {}", i, *value, *most));
        image.pixels.push_back(static_cast<std::uint8_t>((*value * 255U + *most / 2U) / *most));
    }
    return image;
}

} // namespace

std::expected<Image, std::string> read_image(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return bad(path, std::strerror(errno));
    std::array<char, 2> magic{};
    if (!in.read(magic.data(), magic.size())) return bad(path, "is empty or not a file");
    const std::string_view start(magic.data(), magic.size());
    if (start == "P5" || start == "P2") return read_pgm(path, in, start == "P2");
    if (start == "\x89P") return read_png(path);
    return bad(path, "is neither a PNG nor a PGM (P2 or P5)");
}

std::expected<void, std::string> write_png(const std::string& path, const Image& image) {
    PngImage png;
    png.raw.width = image.width;
    png.raw.height = image.height;
    png.raw.format = PNG_FORMAT_GRAY;
    if (png_image_write_to_file(&png.raw, path.c_str(), 0, image.pixels.data(), static_cast<png_int_32>(image.width),
                                nullptr) == 0)
        return bad(path, png.raw.message);
    return {};
}

} // namespace imaging
