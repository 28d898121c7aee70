// The session's shared buffers: dma-bufs that calls name by id, within the grant.
//
// The host thinks of them as id, offset and length alone; how the kernel knows them is the device's affair.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/device/device.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/host/pinned_slot.hpp"
#include "daemon/reverse/memory_budget.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace fastrpc::daemon {

class BufferTable {
public:
    static constexpr unsigned index_bits = 12;
    using Ids = SlotIds<index_bits>;

    static_assert(Ids::slots <= Device::buffer_slots);
    /// Ids above it are the DSP's.
    static constexpr std::uint32_t last_generation = (Device::of_dsp >> index_bits) - 1;

    struct Added {
        std::uint32_t id = 0;
        std::uint64_t size = 0; ///< usable bytes
        bool needs_sync = false;
    };

    /// At most `most` buffers, charged to `budget`. All references must outlive the table.
    BufferTable(Heap& heap, Device& device, std::uint32_t most, MemoryBudget& budget);
    BufferTable(const BufferTable&) = delete;
    BufferTable& operator=(const BufferTable&) = delete;

    /// A new buffer of `size` bytes rounded up to whole pages; `share` gets a duplicate of its dma-buf for the client.
    /// ErrorKind::invalid for size 0, quota beyond the grant, system when the heap refuses.
    Result<Added> allocate(std::uint64_t size, UniqueFd& share);
    /// Takes over a client's dma-buf, of which `size` bytes are used. ErrorKind::invalid when it is no dma-buf or
    /// smaller than `size`; quota beyond the grant. The grant is charged with the whole buffer, since all of it gets
    /// mapped.
    Result<Added> adopt(UniqueFd buffer, std::uint64_t size);
    /// ErrorKind::not_found for an id that is not live; busy while a call uses the buffer.
    Status free(std::uint32_t id);

    /// Lock-free; for the call path. `size` gets the usable bytes; false for an id that is not live. Each pin needs its
    /// unpin.
    [[nodiscard]] bool pin(std::uint32_t id, std::uint64_t& size) noexcept;
    void unpin(std::uint32_t id) noexcept { slots_[Ids::index(id)].state.unpin(); }

    [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

private:
    struct Slot {
        PinnedSlot state;
        std::uint32_t generation = 0;
        bool taken = false;
        std::uint64_t usable = 0;
        MemoryBudget::Charge charge;
    };

    [[nodiscard]] Result<MemoryBudget::Charge> charge(std::uint64_t bytes);
    Result<Added> insert(const UniqueFd& buffer, std::uint64_t usable, std::uint64_t real, MemoryBudget::Charge charge);

    Heap& heap_;
    Device& device_;
    MemoryBudget& budget_;
    std::uint32_t capacity_;
    std::unique_ptr<Slot[]> slots_;
    std::mutex mutex_; ///< serialises everything but pin and unpin
    std::atomic<std::uint32_t> count_ = 0;
};

} // namespace fastrpc::daemon
