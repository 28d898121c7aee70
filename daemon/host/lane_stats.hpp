// What a lane thread tells the main thread: counters, and the call that is in flight. One writer each, no locks.
#pragma once

#include "daemon/host/histogram.hpp"
#include "ipc/latency.hpp"

#include <atomic>
#include <cstdint>

namespace fastrpc::daemon {

/// CLOCK_MONOTONIC in nanoseconds, never 0.
std::uint64_t monotonic_ns() noexcept;

struct LaneCounters {
    std::atomic<std::uint64_t> calls = 0;  ///< that reached the device
    std::atomic<std::uint64_t> failed = 0; ///< of these, with a result other than 0
    std::atomic<std::uint64_t> bytes = 0;
    Histogram latency;
    std::array<std::atomic<std::uint64_t>, Latency::bounds + 1> by_bound{};
    std::atomic<std::uint64_t> sum_ns = 0;

    /// A call that reached the device, by the one writing thread.
    void record(bool ok, std::uint64_t moved, std::uint64_t nanoseconds) noexcept {
        add(calls, 1);
        if (!ok) add(failed, 1);
        add(bytes, moved);
        latency.record(nanoseconds);
        add(by_bound[Latency::place(nanoseconds)], 1);
        add(sum_ns, nanoseconds);
    }
    static void add(std::atomic<std::uint64_t>& counter, std::uint64_t value) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
    }
};

/// Sums over lanes, also over those that are gone.
struct LaneTotals {
    std::uint64_t calls = 0;
    std::uint64_t failed = 0;
    std::uint64_t bytes = 0;
    Histogram::Counts latency{};
    Latency by_bound;

    void add(const LaneCounters& lane) noexcept {
        calls += lane.calls.load(std::memory_order_relaxed);
        failed += lane.failed.load(std::memory_order_relaxed);
        bytes += lane.bytes.load(std::memory_order_relaxed);
        lane.latency.add_to(latency);
        for (std::size_t i = 0; i < by_bound.calls.size(); ++i)
            by_bound.calls[i] += lane.by_bound[i].load(std::memory_order_relaxed);
        by_bound.sum_ns += lane.sum_ns.load(std::memory_order_relaxed);
    }
};

/// The latest call of a lane. `started_ns` is written last at the start and first at the end.
struct LaneActivity {
    static constexpr std::uint32_t opening = 0xFFFFFFFE; ///< as method: opening the module
    static constexpr std::uint32_t closing = 0xFFFFFFFF; ///< as method: closing it
    // As method, with a buffer's id in place of the module's.
    static constexpr std::uint32_t mapping = 0xFFFFFFFC;
    static constexpr std::uint32_t unmapping = 0xFFFFFFFD;

    std::atomic<std::uint64_t> started_ns = 0; ///< 0 = none in flight
    std::atomic<std::uint64_t> expires_ns = 0; ///< 0 = no deadline
    std::atomic<std::uint64_t> ended_ns = 0;   ///< when the latest one that ended did; 0 = none so far
    std::atomic<std::uint32_t> module = 0;     ///< id in the module table
    std::atomic<std::uint32_t> method = 0;
    std::atomic<std::int32_t> result = 0; ///< of the latest call that ended
    std::atomic<std::int32_t> os_error = 0;
};

} // namespace fastrpc::daemon
