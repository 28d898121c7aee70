// The session's shared buffers: dma-bufs that calls name by id.
//
// Each is mapped PROT_NONE as a whole, from its offset 0: the kernel derives the DMA address from the start of that
// mapping, and the host has no view of the data (KERNEL 1.17). Fd numbers rise and never come back during a session,
// because the driver finds its own mapping of a buffer by number.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/host/pinned_slot.hpp"
#include "ipc/grant.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace fastrpc::daemon {

class BufferTable {
public:
    static constexpr unsigned index_bits = 12;
    using Ids = SlotIds<index_bits>;

    /// What a call may know of a buffer that it pinned.
    struct View {
        std::byte* base = nullptr; ///< PROT_NONE
        std::uint64_t size = 0;    ///< usable bytes
        int fd = -1;
    };
    struct Added {
        std::uint32_t id = 0;
        std::uint64_t size = 0; ///< usable bytes
    };

    BufferTable(Heap& heap, const Limits& limits);
    ~BufferTable();
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

    /// Lock-free; for the call path. False for an id that is not live. Each pin needs its unpin.
    [[nodiscard]] bool pin(std::uint32_t id, View& view) noexcept;
    void unpin(std::uint32_t id) noexcept { slots_[Ids::index(id)].state.unpin(); }

    [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

private:
    struct Slot {
        PinnedSlot state;
        std::uint32_t generation = 0;
        UniqueFd fd;
        std::byte* base = nullptr;
        std::uint64_t mapped = 0; ///< bytes of the mapping
        std::uint64_t usable = 0;
        std::uint64_t charged = 0;
    };

    Status check_limits(std::uint64_t bytes) const;
    Result<Added> insert(UniqueFd buffer, std::uint64_t usable, std::uint64_t real);

    Heap& heap_;
    const Limits limits_;
    std::uint32_t capacity_;
    std::unique_ptr<Slot[]> slots_;
    std::mutex mutex_; ///< serialises everything but pin and unpin
    int next_fd_;
    std::atomic<std::uint32_t> count_ = 0;
    std::atomic<std::uint64_t> bytes_ = 0;
};

} // namespace fastrpc::daemon
