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

constexpr const char* nameless = "was mapped without an address of the DSP: it stays until the session ends";

std::string no_buffer(std::uint32_t id) {
    return fmt::format("the session has no buffer {:#x}", id);
}

/// The flags that are safe (KERNEL 1.5); the numbers are the client's.
Result<ShareMode> share_mode(MapMode mode) {
    switch (mode) {
    case MapMode::fixed:
        return ShareMode::fixed;
    case MapMode::fd:
        return ShareMode::fd;
    case MapMode::fd_delayed:
        return ShareMode::fd_delayed;
    case MapMode::fd_nomap:
        return ShareMode::fd_nomap;
    }
    return fail(ErrorKind::invalid, fmt::format("no buffer is mapped in mode {}: 0, 2, 3 and 16 are known",
                                                static_cast<std::uint32_t>(mode)));
}

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

Result<BufferTable::Added> BufferTable::adopt(const UniqueFd& buffer, std::uint64_t size) {
    if (!heap_.is_dma_buf(buffer.get()))
        return fail(ErrorKind::invalid, fmt::format("{} can't be registered, only a dma-buf: allocate it from a "
                                                    "dma-heap or through udmabuf, or let the session allocate it",
                                                    describe_file(buffer.get())));
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

BufferTable::Slot* BufferTable::find(std::uint32_t id) noexcept {
    const std::uint32_t index = Ids::index(id);
    if (index >= capacity_) return nullptr;
    Slot& slot = slots_[index];
    return slot.taken && id == Ids::make(slot.generation, index) ? &slot : nullptr;
}

Status BufferTable::free(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    Slot* const slot = find(id);
    if (slot == nullptr) return fail(ErrorKind::not_found, no_buffer(id));
    if (slot->mapping == Mapping::nameless) return fail(ErrorKind::busy, fmt::format("buffer {:#x} {}", id, nameless));
    if (slot->mapping != Mapping::none)
        return fail(ErrorKind::busy, fmt::format("buffer {:#x} is mapped into the PD; unmap it first", id));
    if (slot->state.retire(id) != PinnedSlot::Retired::yes)
        return fail(ErrorKind::busy, fmt::format("buffer {:#x} is in use by a call; free it afterwards", id));
    if (Status unmapped = device_.unmap_buffer(id); !unmapped) {
        slot->state.publish(id); // the DSP has it still: nothing changes
        return unmapped;
    }
    slot->taken = false;
    count_.fetch_sub(1, std::memory_order_relaxed);
    if (slot->lent.exchange(false, std::memory_order_relaxed)) slot->charge.keep();
    slot->charge = {};
    return {};
}

Result<Shared> BufferTable::map(std::uint32_t id, MapMode mode, std::uint64_t length) {
    const std::scoped_lock one_at_a_time(mapping_);
    const Result<ShareMode> shared_as = share_mode(mode);
    if (!shared_as) return std::unexpected(shared_as.error());
    std::unique_lock lock(mutex_);
    Slot* const slot = find(id);
    if (slot == nullptr) return fail(ErrorKind::not_found, no_buffer(id));
    if (slot->mapping != Mapping::none)
        return fail(ErrorKind::busy, fmt::format("buffer {:#x} is mapped into the PD already; unmap it first", id));
    if (length > slot->usable)
        return fail(ErrorKind::invalid,
                    fmt::format("{} bytes can't be mapped of buffer {:#x} of {}", length, id, slot->usable));
    const std::uint64_t bytes = length == 0 ? slot->usable : length;
    slot->mapping = Mapping::starting;
    lock.unlock();
    Result<Shared> shared = device_.share_buffer(id, bytes, *shared_as);
    lock.lock();
    const bool mapped = shared && shared->call.ok();
    slot->mapping = !mapped ? Mapping::none : shared->dsp_address != 0 ? Mapping::mapped : Mapping::nameless;
    return shared;
}

Result<CallResult> BufferTable::unmap(std::uint32_t id) {
    const std::scoped_lock one_at_a_time(mapping_);
    std::unique_lock lock(mutex_);
    Slot* const slot = find(id);
    if (slot == nullptr) return fail(ErrorKind::not_found, no_buffer(id));
    if (slot->mapping == Mapping::none)
        return fail(ErrorKind::not_found, fmt::format("buffer {:#x} is not mapped into the PD", id));
    if (slot->mapping == Mapping::nameless)
        return fail(ErrorKind::unsupported, fmt::format("buffer {:#x} {}", id, nameless));
    if (slot->state.retire(id) != PinnedSlot::Retired::yes)
        return fail(ErrorKind::busy, fmt::format("buffer {:#x} is in use by a call; unmap it afterwards", id));
    slot->mapping = Mapping::ending;
    lock.unlock();
    Result<CallResult> unshared = device_.unshare_buffer(id);
    lock.lock();
    slot->mapping = unshared && unshared->ok() ? Mapping::none : Mapping::mapped;
    slot->state.publish(id);
    return unshared;
}

Error BufferTable::why_not(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    if (find(id) == nullptr) return {ErrorKind::not_found, 0, no_buffer(id)};
    return {ErrorKind::busy, 0, fmt::format("buffer {:#x} is just being unmapped; call again afterwards", id)};
}

bool BufferTable::pin(std::uint32_t id, std::uint64_t& size) noexcept {
    const std::uint32_t index = Ids::index(id);
    if (index >= capacity_ || !slots_[index].state.pin(id)) return false;
    size = slots_[index].usable;
    return true;
}

} // namespace fastrpc::daemon
