// The session's shared buffers: dma-bufs that calls name by id, within the grant.
//
// The host thinks of them as id, offset and length alone; how the kernel knows them is the device's affair. The loop
// adds and frees them; lanes pin them for calls, without a lock, and map and unmap them, one at a time, while the loop
// goes on.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/device/device.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/host/pinned_slot.hpp"
#include "daemon/reverse/memory_budget.hpp"
#include "ipc/lane.hpp"

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
    /// Takes a client's dma-buf, of which `size` bytes are used. ErrorKind::invalid when it is no dma-buf, which it
    /// says without waiting for whoever serves that file, or smaller than `size`; quota beyond the grant. The grant is
    /// charged with the whole buffer, since all of it gets mapped. `buffer` may be closed afterwards.
    Result<Added> adopt(const UniqueFd& buffer, std::uint64_t size);
    /// ErrorKind::not_found for an id that is not live; busy while a call uses the buffer, and while it is mapped. One
    /// that was lent stays charged as long as the budget lives.
    Status free(std::uint32_t id);

    /// Maps the first `length` bytes (0: all) into the PD, on the thread of a lane: may take as long as the DSP likes.
    /// Errors are refusals before the DSP was asked: ErrorKind::not_found, invalid, or busy when it is mapped already.
    Result<Shared> map(std::uint32_t id, MapMode mode, std::uint64_t length);
    /// Takes it out of the PD, likewise. Busy while a call uses the buffer; new calls on it are refused meanwhile.
    /// Unsupported when the DSP gave no address for it: it stays until the PD ends.
    Result<CallResult> unmap(std::uint32_t id);

    /// Lock-free; for the call path. `size` gets the usable bytes; false for an id that is not live, or just being
    /// unmapped: why_not() knows. Each pin needs its unpin.
    [[nodiscard]] bool pin(std::uint32_t id, std::uint64_t& size) noexcept;
    void unpin(std::uint32_t id) noexcept { slots_[Ids::index(id)].state.unpin(); }
    /// Why pin() failed: not_found, or busy.
    [[nodiscard]] Error why_not(std::uint32_t id);

    /// A pinned buffer is about to be a handle of a call: the driver then keeps it mapped until the DSP names it in a
    /// later call, or the session ends (KERNEL 1.11.5), so its charge is never given back before.
    void lend(std::uint32_t id) noexcept { slots_[Ids::index(id)].lent.store(true, std::memory_order_relaxed); }
    /// Calls may have handles: the driver passes them on (Facts).
    [[nodiscard]] bool takes_handles() const noexcept { return device_.facts().takes_handles; }

    [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

private:
    enum class Mapping : std::uint8_t { none, starting, mapped, nameless, ending };
    struct Slot {
        PinnedSlot state;
        std::uint32_t generation = 0;
        bool taken = false;
        Mapping mapping = Mapping::none;
        std::atomic<bool> lent = false;
        std::uint64_t usable = 0;
        MemoryBudget::Charge charge;
    };

    /// The live slot of an id, under the mutex.
    [[nodiscard]] Slot* find(std::uint32_t id) noexcept;
    [[nodiscard]] Result<MemoryBudget::Charge> charge(std::uint64_t bytes);
    Result<Added> insert(const UniqueFd& buffer, std::uint64_t usable, std::uint64_t real, MemoryBudget::Charge charge);

    Heap& heap_;
    Device& device_;
    MemoryBudget& budget_;
    std::uint32_t capacity_;
    std::unique_ptr<Slot[]> slots_;
    std::mutex mapping_; ///< one map or unmap at a time (KERNEL 1.17); taken before mutex_, and by lanes alone
    std::mutex mutex_;   ///< serialises everything but pin and unpin; never held while the DSP is asked
    std::atomic<std::uint32_t> count_ = 0;
};

} // namespace fastrpc::daemon
