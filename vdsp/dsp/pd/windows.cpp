#include "vdsp/dsp/pd/windows.hpp"

#include <limits>
#include <sys/mman.h>

namespace fastrpc::vdsp {

std::shared_ptr<Mapping> Mapping::make(const WindowMessage& window, int fd) {
    if (window.size == 0 || window.size > std::numeric_limits<std::ptrdiff_t>::max()) return nullptr;
    void* memory =
        ::mmap(nullptr, window.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(window.offset));
    if (memory == MAP_FAILED) return nullptr;
    return std::shared_ptr<Mapping>(new Mapping(window, static_cast<std::byte*>(memory)));
}

Mapping::~Mapping() {
    ::munmap(memory_, window_.size);
}

std::span<std::byte> Mapping::at(std::uint64_t address, std::uint64_t length) const noexcept {
    if (address < window_.address) return {};
    const std::uint64_t skip = address - window_.address;
    if (skip > window_.size || window_.size - skip < length) return {};
    return {memory_ + skip, length};
}

Mapped Windows::known(std::uint64_t address, std::uint64_t length) {
    const std::shared_lock lock(mutex_);
    const auto after = windows_.upper_bound(address);
    if (after != windows_.begin()) {
        const auto& mapping = std::prev(after)->second;
        if (const auto bytes = mapping->at(address, length); bytes.data() != nullptr) return {bytes, mapping};
    }
    return {};
}

Mapped Windows::map(std::uint64_t address, std::uint64_t length) {
    if (Mapped mapped = known(address, length); mapped.owner) return mapped;
    Miss miss;
    std::unique_lock lock(mutex_);
    const std::uint64_t cookie = ++last_cookie_;
    misses_.emplace(cookie, &miss);
    lock.unlock();
    const bool sent = send_frame(socket_, pd_header(PdOp::miss, cookie), bytes_of(address)).has_value();
    lock.lock();
    if (sent) changed_.wait(lock, [&] { return miss.answered; });
    misses_.erase(cookie);
    if (!miss.mapping) return {};
    const auto bytes = miss.mapping->at(address, length);
    return bytes.data() == nullptr ? Mapped{} : Mapped{bytes, std::move(miss.mapping)};
}

void Windows::answer(std::uint64_t cookie, const WindowMessage& window, const UniqueFd& fd) {
    const std::lock_guard lock(mutex_);
    const auto miss = misses_.find(cookie);
    if (miss == misses_.end()) return;
    // Two threads may have missed the same window: the first mapping serves both.
    const auto known = windows_.find(window.address);
    auto mapping = known != windows_.end() ? known->second : Mapping::make(window, fd.get());
    if (mapping) windows_.insert_or_assign(window.address, mapping);
    miss->second->mapping = std::move(mapping);
    miss->second->answered = true;
    changed_.notify_all();
}

void Windows::fault(std::uint64_t cookie) {
    const std::lock_guard lock(mutex_);
    const auto miss = misses_.find(cookie);
    if (miss == misses_.end()) return;
    miss->second->answered = true;
    changed_.notify_all();
}

void Windows::unmapped(std::uint64_t address) {
    const std::lock_guard lock(mutex_);
    windows_.erase(address);
}

} // namespace fastrpc::vdsp
