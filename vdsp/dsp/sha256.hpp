// SHA-256 of what the DSP was given, so that a person or a test can compare it with the file on disk.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace fastrpc::vdsp {

/// 64 lower-case hex digits.
std::string sha256(std::span<const std::byte> bytes);

} // namespace fastrpc::vdsp
