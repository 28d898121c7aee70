#include "vdsp/dsp/guest_memory.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

struct Place {
    UniqueFd fd;
    off_t offset = 0;
};

Result<Place> locate(Machine& machine, std::uint64_t address, std::uint64_t length) {
    std::optional<DmaWindow> window = machine.window(address);
    if (!window || address < window->address || address - window->address > window->size ||
        window->size - (address - window->address) < length)
        return fail(ErrorKind::invalid, fmt::format("no window holds {} bytes at {:#x}", length, address));
    return Place{std::move(window->fd), static_cast<off_t>(window->offset + (address - window->address))};
}

// One system call per piece until `length` bytes are done; a short end is a fault.
template<class Step>
Status transfer(std::size_t length, Step step) {
    for (std::size_t done = 0; done < length;) {
        const ssize_t got = step(done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("access to DMA memory", errno);
        if (got == 0) return fail(ErrorKind::invalid, "DMA memory is shorter than its window");
        done += static_cast<std::size_t>(got);
    }
    return {};
}

} // namespace

Result<std::vector<std::byte>> read_dma(Machine& machine, std::uint64_t address, std::uint64_t length) {
    const auto place = locate(machine, address, length);
    if (!place) return std::unexpected(place.error());
    std::vector<std::byte> bytes(length);
    const Status status = transfer(bytes.size(), [&](std::size_t done) {
        return ::pread(place->fd.get(), bytes.data() + done, bytes.size() - done,
                       place->offset + static_cast<off_t>(done));
    });
    if (!status) return std::unexpected(status.error());
    return bytes;
}

Status write_dma(Machine& machine, std::uint64_t address, std::span<const std::byte> bytes) {
    const auto place = locate(machine, address, bytes.size());
    if (!place) return std::unexpected(place.error());
    return transfer(bytes.size(), [&](std::size_t done) {
        return ::pwrite(place->fd.get(), bytes.data() + done, bytes.size() - done,
                        place->offset + static_cast<off_t>(done));
    });
}

Result<std::vector<std::byte>> read_argument(Machine& machine, const PayloadArgument& argument, std::uint64_t most) {
    if (argument.length == 0) return std::vector<std::byte>{};
    if (argument.length > most)
        return fail(ErrorKind::invalid, fmt::format("an argument has {} bytes, {} at most", argument.length, most));
    return read_dma(machine, first_byte(argument), argument.length);
}

Status write_argument(Machine& machine, const PayloadArgument& argument, std::span<const std::byte> bytes) {
    if (argument.length < bytes.size())
        return fail(ErrorKind::invalid, fmt::format("an output of {} bytes is too small", argument.length));
    return write_dma(machine, first_byte(argument), bytes);
}

} // namespace fastrpc::vdsp
