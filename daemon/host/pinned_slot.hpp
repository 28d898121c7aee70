// One slot of a table whose entries are named by a client and used by calls in flight.
//
// A single atomic word holds the id that is live in the slot (0 = none) and the number of calls that use it now. So a
// call pins an entry without a lock, a stale id finds nothing, and an entry in use can't be taken away: removal
// succeeds only from "live and unused", in one step.
#pragma once

#include <atomic>
#include <cstdint>

namespace fastrpc::daemon {

class PinnedSlot {
public:
    /// Pins the entry if `id` is live here. What was written before publish() is visible afterwards.
    [[nodiscard]] bool pin(std::uint32_t id) noexcept {
        std::uint64_t word = word_.load(std::memory_order_relaxed);
        while (id != 0 && id_of(word) == id)
            if (word_.compare_exchange_weak(word, word + 1, std::memory_order_acquire, std::memory_order_relaxed))
                return true;
        return false;
    }
    void unpin() noexcept { word_.fetch_sub(1, std::memory_order_release); }

    /// Makes the entry reachable. The caller owns the slot: nothing is live in it.
    void publish(std::uint32_t id) noexcept { word_.store(std::uint64_t{id} << 32, std::memory_order_release); }

    enum class Retired { yes, unknown, in_use };
    /// Makes the entry unreachable for good; the caller then owns the slot again.
    [[nodiscard]] Retired retire(std::uint32_t id) noexcept {
        std::uint64_t word = std::uint64_t{id} << 32;
        if (id != 0 && word_.compare_exchange_strong(word, 0, std::memory_order_acquire)) return Retired::yes;
        return id != 0 && id_of(word) == id ? Retired::in_use : Retired::unknown;
    }
    /// Id that is live here, 0 = none.
    [[nodiscard]] std::uint32_t id() const noexcept { return id_of(word_.load(std::memory_order_relaxed)); }

private:
    static constexpr std::uint32_t id_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 32); }
    std::atomic<std::uint64_t> word_ = 0;
};

/// Ids of a table of 2^`index_bits` slots: index in the low bits, a generation above it that starts at 1. A slot whose
/// generations are used up is never used again, so that no id ever comes back.
template<unsigned index_bits>
struct SlotIds {
    static constexpr std::uint32_t slots = 1U << index_bits;
    static constexpr std::uint32_t last_generation = (1U << (32 - index_bits)) - 1;
    static constexpr std::uint32_t make(std::uint32_t generation, std::uint32_t index) noexcept {
        return generation << index_bits | index;
    }
    static constexpr std::uint32_t index(std::uint32_t id) noexcept { return id & (slots - 1); }
};

} // namespace fastrpc::daemon
