// draw-sample: draws sample.png, a landscape at sunset over a lake; the same pixels every time.
//
// Brightness is computed as a photograph has it: smooth light, soft and hard edges, fine texture and grain, so that
// filters have something of each to work on.
#include "examples/imaging/image.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fmt/core.h>

namespace {

constexpr int width = 640, height = 480;
constexpr double shore = 300; ///< line where the lake begins
constexpr double sun_x = 430, sun_y = 150, sun_radius = 26;

// A number in 0..1 that depends on the place alone.
double hash(int x, int y, unsigned salt) {
    auto value =
        static_cast<std::uint32_t>(x) * 0x9E3779B1U ^ static_cast<std::uint32_t>(y) * 0x85EBCA77U ^ salt * 0xC2B2AE3DU;
    value = (value ^ value >> 15) * 0x2C1B3C6DU;
    value = (value ^ value >> 12) * 0x297A2D39U;
    return static_cast<double>((value ^ value >> 15) & 0xFFFFFFU) / 0xFFFFFF;
}

double smooth(double t) {
    t = std::clamp(t, 0.0, 1.0);
    return t * t * (3 - 2 * t);
}

double mix(double a, double b, double t) {
    return a + (b - a) * t;
}

// Smooth noise with a detail per unit, 0..1.
double noise(double x, double y, unsigned salt) {
    const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
    const double across = smooth(x - left), along = smooth(y - top);
    return mix(mix(hash(left, top, salt), hash(left + 1, top, salt), across),
               mix(hash(left, top + 1, salt), hash(left + 1, top + 1, salt), across), along);
}

// Noise of many sizes, 0..1.
double cloud(double x, double y, unsigned salt, int octaves = 5) {
    double sum = 0, weight = 0.5, total = 0;
    for (int i = 0; i < octaves; ++i, weight /= 2, x *= 2, y *= 2) {
        sum += weight * noise(x, y, salt + static_cast<unsigned>(i));
        total += weight;
    }
    return sum / total;
}

double sky(double x, double y) {
    const double distance = std::hypot(x - sun_x, y - sun_y);
    double light = mix(78, 186, smooth(y / shore)) + 95 * std::exp(-distance / 85) + 30 * std::exp(-distance / 260);
    const double veil = smooth((cloud(x / 150, y / 34, 7) - 0.47) * 3.2) * smooth((shore - y) / 170);
    light = mix(light, 120 + 100 * std::exp(-distance / 150) + 40 * cloud(x / 40, y / 14, 19), 0.75 * veil);
    return mix(light, 252, smooth((sun_radius + 1.2 - distance) / 2.4) * (1 - 0.55 * veil));
}

// A range of hills: where its ridge is, and how bright it is at a place below.
struct Range {
    double base, rise, scale, light, haze;
    unsigned salt;

    [[nodiscard]] double ridge(double x) const { return base - rise * cloud(x / scale, salt, salt, 6); }
    [[nodiscard]] double at(double x, double y) const {
        const double slope = ridge(x + 2) - ridge(x - 2);
        const double lit = light + 2.2 * slope + 26 * (cloud(x / 9, y / 6, salt + 40, 4) - 0.5);
        return mix(lit, haze, 0.55 * smooth((y - ridge(x)) / (shore - base + rise)));
    }
};
constexpr std::array ranges{Range{250, 150, 210, 138, 176, 101}, Range{285, 150, 150, 98, 142, 211},
                            Range{312, 110, 95, 58, 92, 331}};

// Firs on the near shore: a tree every few pixels, each with a crown of ragged branches.
double tree_cover(double x, double y) {
    double cover = 0;
    const int cell = static_cast<int>(std::floor(x / 11));
    for (int i = cell - 2; i <= cell + 2; ++i) {
        const double grove = noise(i / 7.0, 3, 57);
        if (grove < 0.34) continue;
        const double tall = (28 + 62 * hash(i, 1, 61)) * (0.5 + grove), foot = shore + 3 + 4 * hash(i, 2, 67);
        const double middle = i * 11 + 11 * hash(i, 3, 71), down = (y - (foot - tall)) / tall;
        if (down < 0 || y > foot) continue;
        const double branch =
            0.72 + 0.28 * std::sin(down * 34 + hash(i, 4, 73) * 6) + 0.5 * (noise(x / 1.7, y / 1.7, 79) - 0.5);
        const double half = std::max(1.0, tall * 0.21 * down * branch);
        cover = std::max(cover, smooth((half + 0.7 - std::abs(x - middle)) / 1.4));
    }
    return cover;
}

double land_and_sky(double x, double y) {
    double light = sky(x, y);
    for (const Range& range : ranges) light = mix(light, range.at(x, y), smooth((y - range.ridge(x)) / 1.6 + 0.5));
    return mix(light, 22 + 26 * noise(x / 2.3, y / 2.3, 83), tree_cover(x, y));
}

// The lake mirrors what stands above the shore, blurred and broken by waves that grow towards us.
double lake(double x, double y) {
    const double depth = (y - shore) / (height - shore);
    const double wave = cloud(x / mix(26, 120, depth), y / mix(1.6, 11, depth), 131, 4) - 0.5;
    const double mirrored = shore - (y - shore) * 1.45 + wave * mix(10, 90, depth);
    const double aside = x + wave * mix(5, 34, depth);
    double light = 0;
    for (const double shift : {-2.0, -0.7, 0.7, 2.0})
        light += land_and_sky(aside + shift, std::clamp(mirrored + shift * mix(1, 4, depth), 0.0, shore - 1)) / 4;
    light = mix(light * 0.8, 38, 0.5 * depth) + 46 * wave * mix(0.4, 1.1, depth);
    const double path = std::exp(-std::abs(x - sun_x) / mix(16, 74, depth));
    return light + 120 * path * smooth((wave - 0.02) * 8);
}

// Stones and reeds in the near corner.
double foreground(double x, double y, double behind) {
    const double bank = 452 + 34 * smooth((x - 60) / 380) - 44 * cloud(x / 70, 9, 151);
    if (y > bank) {
        const double stone = cloud(x / 13, y / 8, 157, 4);
        behind = mix(behind, 24 + 96 * stone * stone + 24 * hash(static_cast<int>(x), static_cast<int>(y), 163) * stone,
                     smooth((y - bank) / 3));
    }
    for (int i = 0; i < 46; ++i) {
        const double foot_x = 4 + 215 * hash(i, 5, 167) * hash(i, 6, 173), tall = 50 + 110 * hash(i, 7, 179);
        const double up = (480 - y) / (tall + 30);
        if (up > 1) continue;
        const double bend = foot_x + (hash(i, 8, 181) - 0.4) * 46 * up * up;
        behind = mix(behind, 16 + 40 * hash(i, 9, 191), smooth((1.5 * (1 - up) + 0.9 - std::abs(x - bend)) / 1.0));
    }
    return behind;
}

double photograph(int x, int y) {
    const double light = foreground(x, y, y < shore ? land_and_sky(x, y) : lake(x, y));
    // Darker corners, and grain as a sum of dice, which is nearly Gaussian.
    const double corner = std::hypot((x - width / 2.0) / width, (y - height / 2.0) / height);
    double grain = -1.5;
    for (unsigned i = 0; i < 3; ++i) grain += hash(x, y, 211 + i);
    return light * (1 - 0.34 * corner * corner * 2) + 4.5 * grain;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: draw-sample FILE.png\n");
        return 2;
    }
    imaging::Image image{width, height, {}};
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            image.pixels.push_back(static_cast<std::uint8_t>(std::clamp(std::lround(photograph(x, y)), 0L, 255L)));
    if (auto written = imaging::write_png(argv[1], image); !written) {
        fmt::print(stderr, "draw-sample: {}\n", written.error());
        return 1;
    }
    return 0;
}
