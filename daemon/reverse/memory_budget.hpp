// The bytes that a PD may hold, its client's buffers and what the DSP asks for together: one number for all threads.
//
// A charge is a share of it that comes back when it dies, so it lives beside the memory that it stands for.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace fastrpc::daemon {

class MemoryBudget {
public:
    class Charge {
    public:
        Charge() = default;
        Charge(Charge&& other) noexcept :
            budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
        Charge& operator=(Charge other) noexcept {
            std::swap(budget_, other.budget_);
            std::swap(bytes_, other.bytes_);
            return *this;
        }
        /// The share is never given back: what it stands for lives as long as the PD.
        void keep() noexcept { budget_ = nullptr; }
        ~Charge() {
            if (budget_ != nullptr) budget_->used_.fetch_sub(bytes_, std::memory_order_relaxed);
        }

    private:
        friend class MemoryBudget;
        Charge(MemoryBudget* budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {}
        MemoryBudget* budget_ = nullptr;
        std::uint64_t bytes_ = 0;
    };

    /// Outlives its charges.
    explicit MemoryBudget(std::uint64_t limit) noexcept : limit_(limit) {}
    MemoryBudget(const MemoryBudget&) = delete;
    MemoryBudget& operator=(const MemoryBudget&) = delete;

    /// Empty when `bytes` are more than is left.
    [[nodiscard]] std::optional<Charge> take(std::uint64_t bytes) noexcept {
        std::uint64_t used = used_.load(std::memory_order_relaxed);
        do {
            if (bytes > limit_ - used) return std::nullopt;
        } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
        return Charge(this, bytes);
    }
    [[nodiscard]] std::uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }

private:
    const std::uint64_t limit_;
    std::atomic<std::uint64_t> used_ = 0;
};

} // namespace fastrpc::daemon
