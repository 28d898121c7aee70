// A latency histogram that one thread writes and any thread reads: log-linear, 16 steps per power of two (6 %).
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace fastrpc::daemon {

class Histogram {
public:
    static constexpr unsigned step_bits = 4;
    static constexpr std::uint64_t steps = 1U << step_bits;
    static constexpr unsigned most_bits = 40; ///< values are capped at 2^40 - 1 ns, 18 minutes
    static constexpr std::size_t buckets = (most_bits - step_bits + 1) * steps;
    using Counts = std::array<std::uint64_t, buckets>;

    static constexpr std::size_t bucket(std::uint64_t value) noexcept {
        if (value >= std::uint64_t{1} << most_bits) value = (std::uint64_t{1} << most_bits) - 1;
        if (value < steps) return value;
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - step_bits - 1;
        return (shift + 1) * steps + ((value >> shift) & (steps - 1));
    }
    /// Largest value of a bucket.
    static constexpr std::uint64_t upper(std::size_t bucket) noexcept {
        if (bucket < steps) return bucket;
        const std::size_t shift = bucket / steps - 1;
        return ((steps + bucket % steps + 1) << shift) - 1;
    }

    /// By the one writing thread.
    void record(std::uint64_t nanoseconds) noexcept {
        std::atomic<std::uint64_t>& count = counts_[bucket(nanoseconds)];
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    void add_to(Counts& sum) const noexcept {
        for (std::size_t i = 0; i < buckets; ++i) sum[i] += counts_[i].load(std::memory_order_relaxed);
    }

private:
    std::array<std::atomic<std::uint64_t>, buckets> counts_{};
};

/// The value in nanoseconds that `percent` of the recorded ones do not exceed, to the bucket's resolution; 0 when
/// empty.
constexpr std::uint64_t percentile(const Histogram::Counts& counts, unsigned percent) noexcept {
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts) total += count;
    if (total == 0) return 0;
    const std::uint64_t rank = total / 100 * percent + (total % 100 * percent + 99) / 100;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        seen += counts[i];
        if (seen >= rank && seen > 0) return Histogram::upper(i);
    }
    return Histogram::upper(counts.size() - 1);
}

} // namespace fastrpc::daemon
