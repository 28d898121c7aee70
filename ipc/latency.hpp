// How long calls took, as a histogram that can be summed over hosts and for ever: its bounds are the same everywhere.
//
// Bounds are powers of two in microseconds, 4 us to 8.4 s, as they are told to scrapers. A host's own percentiles come
// from a finer histogram (daemon/host/histogram.hpp), which nobody else sees.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace fastrpc {

struct Latency {
    static constexpr unsigned first_bound_bits = 2;
    static constexpr std::size_t bounds = 22;
    /// Calls that took at most bound_us() of their place, and more than that of the one before; the last: longer ones.
    std::array<std::uint64_t, bounds + 1> calls{};
    std::uint64_t sum_ns = 0; ///< of all

    static constexpr std::uint64_t bound_us(std::size_t place) noexcept {
        return std::uint64_t{1} << (place + first_bound_bits);
    }
    /// The place of a call that took so long.
    static constexpr std::size_t place(std::uint64_t nanoseconds) noexcept {
        if (nanoseconds > bound_us(bounds - 1) * 1000) return bounds;
        if (nanoseconds <= bound_us(0) * 1000) return 0;
        const std::uint64_t microseconds = (nanoseconds + 999) / 1000;
        return static_cast<std::size_t>(std::bit_width(microseconds - 1)) - first_bound_bits;
    }

    Latency& operator+=(const Latency& more) noexcept {
        for (std::size_t i = 0; i < calls.size(); ++i) calls[i] += more.calls[i];
        sum_ns += more.sum_ns;
        return *this;
    }
    friend bool operator==(const Latency&, const Latency&) = default;
};

} // namespace fastrpc
