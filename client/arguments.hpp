// The arguments of a call, checked before anything is sent, and which of them are too large to be sent.
#pragma once

#include "base/result.hpp"
#include "client/fastrpc.h"
#include "ipc/lane.hpp"
#include "ipc/scalars.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fastrpc::core {

class Session;

/// Bytes of a call's arguments that are in no buffer, each padded to 8.
struct InlineBytes {
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    /// They travel in the datagrams.
    [[nodiscard]] bool fit() const noexcept { return in <= max_inline && out <= max_inline; }
};

/// Above every length that a DSP, which counts in 32 bits and maps whole pages, could be given.
inline constexpr std::uint64_t max_argument = (std::uint64_t{1} << 32) - 4096;

/// Fails with ErrorKind::invalid when counts and scalars differ, on a handle without a buffer, on a NULL with a size,
/// on a range that leaves its buffer, on a buffer of another session than `session` and on more than max_argument
/// bytes.
Result<InlineBytes> check_arguments(const Session& session, Scalars scalars, std::span<const fastrpc_arg> args);

/// Arguments that go through an arena.
struct MovedArguments {
    std::bitset<max_arguments> chosen;
    std::uint64_t bytes = 0; ///< of arena that they take
    InlineBytes left;        ///< of all others
};

/// Arguments in an arena start so, so that no two share a line of the DSP's caches.
inline constexpr std::uint64_t arena_alignment = 128;
constexpr std::uint64_t arena_share(std::uint64_t bytes) noexcept {
    return (bytes + arena_alignment - 1) & ~(arena_alignment - 1);
}

/// The largest inputs, and the largest outputs, until the others fit; `bytes` is what check_arguments() said.
MovedArguments choose_moved(Scalars scalars, std::span<const fastrpc_arg> args, InlineBytes bytes);

} // namespace fastrpc::core
