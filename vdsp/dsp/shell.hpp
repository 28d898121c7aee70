// Shells: the first program of a user PD, which the kernel hands over at CREATE (USERSPACE 3.3).
//
// A virtual shell is a file whose first line is "FASTRPC-VDSP-SHELL <signed|unsigned> <domain number>". It says what it
// is made for, so that the wrong file is refused as the DSP refuses it. The shell of a vendor says nothing that we
// could read, and is accepted.
#pragma once

#include "ipc/domain.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace fastrpc::vdsp {

/// Longest shell that any kernel passes (USERSPACE 3.3).
inline constexpr std::uint64_t max_shell = 5U << 20;

/// 0, or the code of the refusal: 0x80000416 for a missing shell, 0x8000054F for one of another kind or domain.
std::int32_t check_shell(std::span<const std::byte> shell, Domain domain, bool is_unsigned);

} // namespace fastrpc::vdsp
