// The filters of dsp/imaging.h on the CPU, to compare with: written from the definition, for clarity, not for speed,
// and without a line of the module's.
#pragma once

#include "examples/imaging/image.hpp"

#include <array>
#include <cstdint>

namespace imaging {

std::array<std::uint32_t, 256> histogram(const Image& image);
Image sobel(const Image& image);
Image dilate(const Image& image);

} // namespace imaging
