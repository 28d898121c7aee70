#include "daemon/device/buffer_map.hpp"

#include "daemon/device/heap.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

// No buffer comes near it, and sums below it can't wrap.
constexpr std::uint64_t absurd_size = std::uint64_t{1} << 46;

/// Where the slot of an id is among all.
constexpr std::size_t place(std::uint32_t id) noexcept {
    return (id & Device::of_dsp) != 0 ? Device::buffer_slots + id % Device::dsp_buffer_slots
                                      : id % Device::buffer_slots;
}

struct Range {
    std::uint64_t begin;
    std::uint64_t end;
};

} // namespace

AddressRange::AddressRange(AddressRange&& other) noexcept :
    base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AddressRange& AddressRange::operator=(AddressRange&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    return *this;
}

AddressRange::~AddressRange() {
    if (base_ != nullptr) ::munmap(base_, size_);
}

Result<AddressRange> AddressRange::map(int fd) {
    const Result<std::uint64_t> real = dma_buf_size(fd);
    if (!real) return std::unexpected(real.error());
    // The driver's own buffers refuse the last, partial page (KERNEL 1.10): what is not mapped has no address.
    const std::uint64_t size = *real / page_size() * page_size();
    if (size == 0 || size > absurd_size)
        return fail(ErrorKind::invalid,
                    fmt::format("a dma-buf of {} bytes can't be mapped whole: use whole pages", *real));
    void* const base = ::mmap(nullptr, size, PROT_NONE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) return fail_errno(fmt::format("mapping a buffer of {} bytes", size), errno);
    AddressRange range;
    range.base_ = static_cast<std::byte*>(base);
    range.size_ = size;
    return range;
}

BufferMap::~BufferMap() {
    for (const auto& block : blocks_) delete block.load();
}

Status BufferMap::add(std::uint32_t id, int fd, std::optional<std::int32_t> number) {
    const std::scoped_lock lock(mutex_);
    const std::size_t at = place(id);
    std::atomic<Block*>& block = blocks_[at / block_slots];
    if (block.load(std::memory_order_relaxed) == nullptr) block.store(new Block, std::memory_order_release);
    Slot& slot = (*block.load(std::memory_order_relaxed))[at % block_slots];
    if (id == 0 || slot.id.load(std::memory_order_relaxed) != 0)
        return fail(ErrorKind::invalid, fmt::format("the buffer id {:#x} can't be used now", id));
    if (fd < 0) return fail(ErrorKind::invalid, "a buffer needs an fd");
    Result<AddressRange> range = AddressRange::map(fd);
    if (!range) return std::unexpected(range.error());
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, next_fd_));
    if (!copy)
        return fail(ErrorKind::quota,
                    fmt::format("no fd number is left for another buffer ({}); open a new session", errno_text(errno)),
                    errno);
    next_fd_ = copy.get() + 1;
    slot.number = number.value_or(copy.get());
    slot.fd = std::move(copy);
    slot.range = std::move(*range);
    slot.id.store(id, std::memory_order_release);
    return {};
}

Result<std::int32_t> BufferMap::remove(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    Slot* const slot = find(id);
    if (slot == nullptr) return fail(ErrorKind::not_found, fmt::format("the device knows no buffer {:#x}", id));
    if (slot->shared) return fail(ErrorKind::busy, "the buffer is shared with the DSP; unshare it first");
    slot->id.store(0, std::memory_order_release);
    slot->range = AddressRange();
    slot->fd.reset();
    return slot->number;
}

Result<std::uint32_t> BufferMap::number(std::uint32_t id) const {
    const std::scoped_lock lock(mutex_);
    const Slot* const slot = find(id);
    if (slot == nullptr) return fail(ErrorKind::not_found, fmt::format("the device knows no buffer {:#x}", id));
    return static_cast<std::uint32_t>(slot->number);
}

std::uint32_t BufferMap::find_number(std::uint32_t number) const {
    const std::scoped_lock lock(mutex_);
    for (const auto& each : blocks_) {
        const Block* const block = each.load(std::memory_order_relaxed);
        if (block == nullptr) continue;
        for (const Slot& slot : *block) {
            const std::uint32_t id = slot.id.load(std::memory_order_relaxed);
            if (id != 0 && static_cast<std::uint32_t>(slot.number) == number) return id;
        }
    }
    return 0;
}

Result<BufferMap::Slot*> BufferMap::begin_share(std::uint32_t id, std::uint64_t length, ShareMode mode) {
    if (static_cast<std::uint32_t>(mode) > largest_share_mode)
        return fail(ErrorKind::invalid,
                    fmt::format("no buffer is shared in mode {:#x}", static_cast<std::uint32_t>(mode)));
    const std::scoped_lock lock(mutex_);
    Slot* const slot = find(id);
    if (slot == nullptr) return fail(ErrorKind::not_found, fmt::format("the device knows no buffer {:#x}", id));
    // A second map would take a second unmap, and the first address would stay on the DSP (KERNEL 1.13).
    if (slot->shared) return fail(ErrorKind::busy, "the buffer is shared with the DSP already");
    if (length == 0 || length > slot->range.size())
        return fail(ErrorKind::invalid, fmt::format("{} bytes of a buffer of {}", length, slot->range.size()));
    slot->shared = true;
    slot->dsp_address = 0;
    slot->shared_bytes = length;
    return slot;
}

void BufferMap::end_share(Slot& slot, std::optional<std::uint64_t> dsp_address) noexcept {
    const std::scoped_lock lock(mutex_);
    slot.shared = dsp_address.has_value();
    slot.dsp_address = dsp_address.value_or(0);
}

Result<BufferMap::Slot*> BufferMap::begin_unshare(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    Slot* const slot = find(id);
    if (slot == nullptr || !slot->shared)
        return fail(ErrorKind::not_found, fmt::format("buffer {:#x} is not shared with the DSP", id));
    // Address 0 would match the shell or a running call's buffer (KERNEL 1.13).
    if (slot->dsp_address == 0)
        return fail(ErrorKind::unsupported, "the DSP gave no address for the buffer: it stays until the PD ends");
    return slot;
}

void BufferMap::end_unshare(Slot& slot) noexcept {
    const std::scoped_lock lock(mutex_);
    slot.shared = false;
}

BufferMap::Slot* BufferMap::find(std::uint32_t id) const noexcept {
    const std::size_t at = place(id);
    Block* const block = blocks_[at / block_slots].load(std::memory_order_acquire);
    if (id == 0 || block == nullptr) return nullptr;
    Slot& slot = (*block)[at % block_slots];
    return slot.id.load(std::memory_order_acquire) == id ? &slot : nullptr;
}

int BufferMap::lay_out(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments,
                       KernelArgument* into) const {
    if (arguments.size() != scalars.arguments())
        throw std::invalid_argument("invoke: arguments and scalars do not agree");
    // Processes and utilities are the kernel's to call (KERNEL 0.2); QDA itself would let a program act on any session
    // of the DSP (KERNEL 2.5 #2).
    if (handle == 1 || handle == 2) return EPERM;
    const std::size_t buffers = scalars.buffers();
    const bool fine =
        lay_out(arguments.first(buffers), into) && lay_out_handles(arguments.subspan(buffers), into + buffers);
    return fine ? 0 : EINVAL;
}

bool BufferMap::lay_out(std::span<const Argument> arguments, KernelArgument* into) const noexcept {
    std::array<Range, max_arguments> ranges; // uninitialised on purpose: 8 KB
    std::size_t used = 0;
    if (arguments.size() > ranges.size()) return false;
    for (const Argument& argument : arguments) {
        KernelArgument& out = *into++;
        out = {0, argument.length, -1, 0};
        if (argument.length == 0) continue; // nothing to copy or map
        if (argument.buffer == 0) {
            out.address = reinterpret_cast<std::uintptr_t>(argument.data);
            if (argument.data == nullptr || out.address + out.length < out.address) return false;
        } else {
            const Slot* const slot = find(argument.buffer);
            if (slot == nullptr || argument.offset > slot->range.size() ||
                argument.length > slot->range.size() - argument.offset)
                return false;
            out.address = slot->range.address() + argument.offset;
            out.fd = slot->number;
        }
        ranges[used++] = {out.address, out.address + out.length};
    }
    // Handles may meet them: they take no part in the driver's own placement.
    const std::span<Range> all = std::span(ranges).first(used);
    std::ranges::sort(all, {}, &Range::begin);
    for (std::size_t i = 1; i < used; ++i)
        if (all[i].begin < all[i - 1].end) return false;
    return true;
}

// Never an fd of 0 or -1, which the driver would hand to the DSP as it is (KERNEL 1.17).
bool BufferMap::lay_out_handles(std::span<const Argument> arguments, KernelArgument* into) const noexcept {
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    for (const Argument& argument : arguments) {
        const Slot* const slot = find(argument.buffer);
        if (slot == nullptr || argument.offset > most || argument.length > most ||
            argument.offset > slot->range.size() || argument.length > slot->range.size() - argument.offset)
            return false;
        *into++ = {argument.offset, argument.length, slot->number, 0};
    }
    return true;
}

} // namespace fastrpc::daemon
