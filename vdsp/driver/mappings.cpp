#include "vdsp/driver/mappings.hpp"

#include "vdsp/wire/payload_view.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>

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

std::expected<Mapping*, int> Mappings::take(std::int32_t number, FileReference file, std::uint64_t length, bool fresh) {
    if (file.state == FileReference::State::bad) return std::unexpected(EBADF);
    if (file.state == FileReference::State::foreign) return std::unexpected(EINVAL);
    const auto buffer = buffers_.find(file.fd);
    if (!buffer) return std::unexpected(EINVAL);
    if (!fresh) {
        const auto same = std::ranges::find_if(live_, [&](const Mapping& mapping) {
            return mapping.number == number && mapping.buffer.inode == buffer->inode;
        });
        if (same != live_.end()) {
            ++same->references; // the kernel does not look at the length here (KERNEL 1.11.7)
            return &*same;
        }
    }
    const std::uint64_t usable = (buffer->size + page_bytes - 1) & ~(page_bytes - 1);
    if (length > usable) {
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
    mapping.references = 1;
    return &mapping;
}

void Mappings::drop(std::uint64_t serial) {
    const auto at = std::ranges::find(live_, serial, &Mapping::serial);
    if (at == live_.end() || --at->references != 0) return;
    idle_.splice(idle_.end(), live_, at);
    if (idle_.size() > idle_kept) idle_.pop_front();
}

void Mappings::set_address(std::uint64_t serial, std::uint64_t dsp_address) {
    const auto at = std::ranges::find(live_, serial, &Mapping::serial);
    if (at != live_.end()) at->dsp_address = dsp_address;
}

Mapping* Mappings::by_address(std::uint64_t dsp_address, std::int32_t number) {
    const auto found = std::ranges::find_if(live_, [&](const Mapping& mapping) {
        return mapping.dsp_address == dsp_address && (number < 0 || mapping.number == number);
    });
    return found == live_.end() ? nullptr : &*found;
}

Mapping* Mappings::by_number(std::int32_t number) {
    const auto found = std::ranges::find(live_, number, &Mapping::number);
    return found == live_.end() ? nullptr : &*found;
}

} // namespace fastrpc::vdsp
