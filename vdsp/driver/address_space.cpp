#include "vdsp/driver/address_space.hpp"

#include "vdsp/wire/payload_view.hpp"

#include <algorithm>
#include <fcntl.h>
#include <iterator>
#include <mutex>

namespace fastrpc::vdsp {

namespace {
// Address 0 and its neighbours stay free, so that a DSP which forgets to check a page faults.
constexpr std::uint64_t first_iova = 0x1000'0000;
constexpr std::uint64_t end_iova = 0xFFFF'F000;
} // namespace

Result<AddressSpace::Window> AddressSpace::add(std::uint32_t sid, std::uint64_t size, UniqueFd memory) {
    size = (size + page_bytes - 1) & ~(page_bytes - 1);
    const std::uint64_t base = std::uint64_t{sid} << sid_shift_;
    const std::lock_guard lock(mutex_);
    std::uint64_t& next = next_.try_emplace(sid, base + first_iova).first->second;
    auto address = gap(next, base + end_iova, size);
    if (!address) address = gap(base + first_iova, base + end_iova, size);
    if (!address) return fail(ErrorKind::quota, "the DMA addresses of a session are used up");
    memory_[*address] = {.size = size, .fd = std::move(memory)};
    next = *address + size + page_bytes; // a hole after each window catches overruns
    return Window(this, *address);
}

std::optional<std::uint64_t> AddressSpace::gap(std::uint64_t first, std::uint64_t last, std::uint64_t size) const {
    std::uint64_t candidate = first;
    auto window = memory_.upper_bound(candidate);
    if (window != memory_.begin()) {
        const auto before = std::prev(window);
        candidate = std::max(candidate, before->first + before->second.size + page_bytes);
    }
    for (;; ++window) {
        if (candidate >= last || size > last - candidate) return std::nullopt;
        if (window == memory_.end() || window->first >= candidate + size + page_bytes) return candidate;
        candidate = window->first + window->second.size + page_bytes;
    }
}

std::optional<DmaWindow> AddressSpace::find(std::uint64_t address) const {
    const std::shared_lock lock(mutex_);
    auto window = memory_.upper_bound(address);
    if (window == memory_.begin()) return std::nullopt;
    --window;
    if (!window->second.fd || address - window->first >= window->second.size) return std::nullopt;
    return DmaWindow{.address = window->first,
                     .size = window->second.size,
                     .fd = UniqueFd(::fcntl(window->second.fd.get(), F_DUPFD_CLOEXEC, 3))};
}

std::size_t AddressSpace::windows() const {
    const std::shared_lock lock(mutex_);
    return memory_.size();
}

void AddressSpace::remove(std::uint64_t address) {
    UniqueFd gone;
    {
        const std::lock_guard lock(mutex_);
        gone = std::move(memory_.at(address).fd);
    }
    // Told without the lock: the DSP may be looking for windows just now.
    if (on_unmapped) on_unmapped(address);
    const std::lock_guard lock(mutex_);
    memory_.erase(address);
}

} // namespace fastrpc::vdsp
