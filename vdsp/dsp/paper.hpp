// Texts too long for a datagram between the guest OS and a PD: a memfd that one writes and the other reads.
//
// The guest OS makes every paper, and the PD may write its answer over what it read: so the guest OS never reads from a
// fd that a PD chose.
#pragma once

#include "base/unique_fd.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fastrpc::vdsp {

/// Longest text on a paper, in bytes.
inline constexpr std::size_t max_paper = std::size_t{1} << 20;

/// A paper with this text; no fd when the machine has no memory for it.
UniqueFd make_paper(std::string_view text);
/// Replaces the text; false when that fails.
bool rewrite_paper(int paper, std::string_view text);
/// The text; nothing when it is longer than max_paper or cannot be read.
std::optional<std::string> read_paper(int paper);

} // namespace fastrpc::vdsp
