#include "daemon/host/buffer_table.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <optional>

namespace fastrpc::daemon {
namespace {

// No buffer comes near it, and sums below it can't wrap.
constexpr std::uint64_t absurd_size = std::uint64_t{1} << 46;

} // namespace

BufferTable::BufferTable(Heap& heap, Device& device, std::uint32_t most, MemoryBudget& budget) :
    heap_(heap), device_(device), budget_(budget), capacity_(std::min(most, Ids::slots)),
    slots_(std::make_unique<Slot[]>(std::max(capacity_, 1U))) {}

Result<MemoryBudget::Charge> BufferTable::charge(std::uint64_t bytes) {
    if (count() >= capacity_)
        return fail(ErrorKind::quota,
                    fmt::format("the session has {} buffers, as many as its grant allows; free one", count()));
    std::optional<MemoryBudget::Charge> charge = budget_.take(bytes);
    if (!charge)
        return fail(ErrorKind::quota, fmt::format("{} more bytes exceed the grant: {} of {} bytes are in use", bytes,
                                                  budget_.used(), budget_.limit()));
    return std::move(*charge);
}

Result<BufferTable::Added> BufferTable::allocate(std::uint64_t size, UniqueFd& share) {
    if (size == 0 || size > absurd_size)
        return fail(ErrorKind::invalid, fmt::format("a buffer can't have {} bytes", size));
    const std::uint64_t rounded = (size + page_size() - 1) / page_size() * page_size();
    const std::scoped_lock lock(mutex_);
    Result<MemoryBudget::Charge> charge = this->charge(rounded);
    if (!charge) return std::unexpected(charge.error());
    Result<UniqueFd> buffer = heap_.allocate(rounded);
    if (!buffer) return std::unexpected(buffer.error());
    UniqueFd copy(::fcntl(buffer->get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno("duplicating a buffer's fd", errno);
    Result<Added> added = insert(*buffer, rounded, rounded, std::move(*charge));
    if (added) share = std::move(copy);
    return added;
}

Result<BufferTable::Added> BufferTable::adopt(UniqueFd buffer, std::uint64_t size) {
    if (!heap_.is_dma_buf(buffer.get()))
        return fail(ErrorKind::invalid,
                    "only a dma-buf can be registered: allocate it from a dma-heap or through udmabuf, "
                    "or let the session allocate it");
    const Result<std::uint64_t> real = dma_buf_size(buffer.get());
    if (!real) return std::unexpected(real.error());
    if (size == 0 || size > *real)
        return fail(ErrorKind::invalid, fmt::format("{} bytes were claimed of a dma-buf of {}", size, *real));
    const std::scoped_lock lock(mutex_);
    Result<MemoryBudget::Charge> charge = this->charge(*real);
    if (!charge) return std::unexpected(charge.error());
    return insert(buffer, size, *real, std::move(*charge));
}

Result<BufferTable::Added> BufferTable::insert(const UniqueFd& buffer, std::uint64_t usable, std::uint64_t real,
                                               MemoryBudget::Charge charge) {
    // The driver refuses the last, partial page (KERNEL 1.10).
    if (real > absurd_size || usable > real / page_size() * page_size())
        return fail(ErrorKind::invalid,
                    fmt::format("a dma-buf of {} bytes can't be mapped whole: use whole pages", real));
    Slot* const end = slots_.get() + capacity_;
    Slot* const slot = std::find_if(slots_.get(), end, [](const Slot& candidate) {
        return !candidate.taken && candidate.generation < last_generation;
    });
    if (slot == end) return fail(ErrorKind::quota, "the session has used up its buffer ids; open a new one");
    const std::uint32_t id = Ids::make(slot->generation + 1, static_cast<std::uint32_t>(slot - slots_.get()));
    if (const Status mapped = device_.map_buffer(id, buffer.get()); !mapped) return std::unexpected(mapped.error());
    ++slot->generation;
    slot->taken = true;
    slot->usable = usable;
    slot->charge = std::move(charge);
    count_.fetch_add(1, std::memory_order_relaxed);
    slot->state.publish(id);
    return Added{id, usable, device_.facts().needs_cache_maintenance && needs_sync(buffer.get())};
}

Status BufferTable::free(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    const std::uint32_t index = Ids::index(id);
    const auto retired = index < capacity_ ? slots_[index].state.retire(id) : PinnedSlot::Retired::unknown;
    if (retired == PinnedSlot::Retired::unknown)
        return fail(ErrorKind::not_found, fmt::format("the session has no buffer {:#x}", id));
    if (retired == PinnedSlot::Retired::in_use)
        return fail(ErrorKind::busy, fmt::format("buffer {:#x} is in use by a call; free it afterwards", id));
    Slot& slot = slots_[index];
    if (Status unmapped = device_.unmap_buffer(id); !unmapped) {
        slot.state.publish(id); // the DSP has it still: nothing changes
        return unmapped;
    }
    slot.taken = false;
    count_.fetch_sub(1, std::memory_order_relaxed);
    slot.charge = {};
    return {};
}

bool BufferTable::pin(std::uint32_t id, std::uint64_t& size) noexcept {
    const std::uint32_t index = Ids::index(id);
    if (index >= capacity_ || !slots_[index].state.pin(id)) return false;
    size = slots_[index].usable;
    return true;
}

} // namespace fastrpc::daemon
