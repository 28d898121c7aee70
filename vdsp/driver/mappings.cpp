#include "vdsp/driver/mappings.hpp"

#include "vdsp/wire/payload_view.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <mutex>

namespace fastrpc::vdsp {

namespace {

constexpr std::size_t idle_kept = 32;

/// An fd of our own that the DSP can write through, whatever access the caller's has: a dma-buf has no read-only side.
UniqueFd writable_copy(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_RDWR) return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    return UniqueFd(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDWR | O_CLOEXEC));
}

} // namespace

std::expected<MappingView, int> Mappings::take(std::int32_t number, FileReference file, std::uint64_t length,
                                               bool fresh) {
    fresh = fresh && profile_.fresh_handles;
    const std::lock_guard lock(mutex_);
    const auto share = [&](auto&& same) -> const Mapping* {
        const auto found = fresh ? live_.end() : std::ranges::find_if(live_, same);
        if (found == live_.end()) return nullptr;
        ++found->references; // the kernel does not look at the length here (KERNEL 1.11.7)
        return &*found;
    };
    if (!profile_.maps_by_buffer)
        if (const Mapping* known = share([&](const Mapping& mapping) { return mapping.number == number; }))
            return *known;
    if (file.state == FileReference::State::bad) return std::unexpected(EBADF);
    if (file.state == FileReference::State::foreign) return std::unexpected(EINVAL);
    const auto buffer = buffers_.find(file.fd);
    if (!buffer) return std::unexpected(EINVAL);
    const auto same = [&](const Mapping& mapping) {
        return mapping.number == number && mapping.buffer.inode == buffer->inode;
    };
    if (const Mapping* known = share(same)) return *known;
    const std::uint64_t usable = (buffer->size + page_bytes - 1) & ~(page_bytes - 1);
    if (profile_.checks_length && length > usable) {
        fatal_(fmt::format("a mapping of {} bytes of a dma-buf of {} bytes: a real kernel would oops", length, usable));
        return std::unexpected(EINVAL);
    }
    const auto idle =
        std::ranges::find_if(idle_, [&](const Mapping& mapping) { return mapping.buffer.inode == buffer->inode; });
    if (idle != idle_.end()) {
        live_.splice(live_.end(), idle_, idle);
    } else {
        UniqueFd own = writable_copy(file.fd);
        if (!own) return std::unexpected(errno);
        auto window = space_.add(sid_, buffer->size, std::move(own));
        if (!window) return std::unexpected(ENOMEM);
        live_.emplace_back();
        live_.back().window = std::move(*window);
    }
    Mapping& mapping = live_.back();
    mapping.serial = ++last_serial_;
    mapping.number = number;
    mapping.buffer = *buffer;
    mapping.length = length;
    mapping.dsp_address = 0;
    mapping.dma = mapping.window.address();
    mapping.references = 1;
    return mapping;
}

// What falls out of the idle list goes to `evicted`: the DSP hears of the end of a window, and no lock is held then.
void Mappings::drop(List::iterator at, List& evicted) {
    if (at == live_.end() || --at->references != 0) return;
    idle_.splice(idle_.end(), live_, at);
    if (idle_.size() > idle_kept) evicted.splice(evicted.end(), idle_, idle_.begin());
}

void Mappings::drop(std::uint64_t serial) {
    List evicted;
    const std::lock_guard lock(mutex_);
    drop(std::ranges::find(live_, serial, &Mapping::serial), evicted);
}

void Mappings::drop_number(std::int32_t number, std::optional<std::uint64_t> inode) {
    List evicted;
    const std::lock_guard lock(mutex_);
    const auto named = [&](const Mapping& mapping) {
        return mapping.number == number && (!inode || mapping.buffer.inode == *inode);
    };
    drop(std::ranges::find_if(live_, named), evicted);
}

void Mappings::set_address(std::uint64_t serial, std::uint64_t dsp_address) {
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find(live_, serial, &Mapping::serial);
    if (at != live_.end()) at->dsp_address = dsp_address;
}

std::optional<MappingView> Mappings::by_address(std::uint64_t dsp_address, std::int32_t number) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(live_, [&](const Mapping& mapping) {
        return mapping.dsp_address == dsp_address && (number < 0 || mapping.number == number);
    });
    if (found == live_.end()) return std::nullopt;
    return *found;
}

bool Mappings::mem_mapped(std::int32_t number) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(
        live_, [&](const Mapping& mapping) { return mapping.number == number && mapping.dsp_address != 0; });
}

} // namespace fastrpc::vdsp
