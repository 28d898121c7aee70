// DMA addresses of one DSP and the memory behind them: what its SMMU would know.
//
// Each session slot has its own stream id (SID), which stands in bits 63:32 of an address (or
// 63:56, KERNEL 1.11.3); SID 0 is the channel's own
// device. Addresses are given out in a circle, so that one is reused as late as possible. Any thread may call; lookups
// do not hold each other up.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "vdsp/channel.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <shared_mutex>
#include <utility>

namespace fastrpc::vdsp {

class AddressSpace {
public:
    /// A window; it ends, and the DSP is told, when this object does. The address space must outlive it.
    class Window {
    public:
        Window() noexcept = default;
        Window(Window&& other) noexcept : space_(std::exchange(other.space_, nullptr)), address_(other.address_) {}
        Window& operator=(Window&& other) noexcept {
            std::swap(space_, other.space_);
            std::swap(address_, other.address_);
            return *this;
        }
        ~Window() {
            if (space_ != nullptr) space_->remove(address_);
        }
        [[nodiscard]] std::uint64_t address() const noexcept { return address_; }

    private:
        friend class AddressSpace;
        Window(AddressSpace* space, std::uint64_t address) noexcept : space_(space), address_(address) {}
        AddressSpace* space_ = nullptr;
        std::uint64_t address_ = 0;
    };

    explicit AddressSpace(unsigned sid_shift = 32) noexcept : sid_shift_(sid_shift) {}

    /// Called with the first address of each window that ends, before the address can be given out again.
    std::function<void(std::uint64_t)> on_unmapped;

    /// `size` is rounded up to whole pages. ErrorKind::quota when the 32-bit space of the SID is full.
    Result<Window> add(std::uint32_t sid, std::uint64_t size, UniqueFd memory);
    /// The window that holds `address`.
    [[nodiscard]] std::optional<DmaWindow> find(std::uint64_t address) const;
    [[nodiscard]] std::size_t windows() const;

private:
    struct Memory {
        std::uint64_t size = 0;
        UniqueFd fd; ///< none: the window ends, and only its addresses are still taken
    };
    void remove(std::uint64_t address);
    [[nodiscard]] std::optional<std::uint64_t> gap(std::uint64_t first, std::uint64_t last, std::uint64_t size) const;

    const unsigned sid_shift_;
    mutable std::shared_mutex mutex_;
    std::map<std::uint64_t, Memory> memory_;
    std::map<std::uint32_t, std::uint64_t> next_; ///< per SID: where the circle stands
};

} // namespace fastrpc::vdsp
