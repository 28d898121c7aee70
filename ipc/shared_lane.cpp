#include "ipc/shared_lane.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fastrpc {
namespace {

constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::atomic_ref<std::uint32_t> word(std::byte* at) noexcept {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(at));
}

} // namespace

Status SharedSlot::put(FrameHeader header, std::span<const iovec> pieces) {
    std::size_t size = sizeof header;
    for (const iovec& piece : pieces) size += piece.iov_len;
    if (size > max_lane_datagram) return fail(ErrorKind::invalid, fmt::format("a frame of {} bytes is too long", size));
    header.magic = frame_magic;
    header.version = frame_version;
    header.payload = static_cast<std::uint32_t>(size - sizeof header);
    header.fds = 0;
    std::memcpy(area_, &header, sizeof header);
    std::byte* at = area_ + sizeof header;
    for (const iovec& piece : pieces) {
        if (piece.iov_len != 0) std::memcpy(at, piece.iov_base, piece.iov_len);
        at += piece.iov_len;
    }
    word(size_).store(static_cast<std::uint32_t>(size), std::memory_order_release);
    return {};
}

Result<Frame> SharedSlot::take(std::span<std::byte> storage) const {
    const std::size_t size = word(size_).load(std::memory_order_acquire); // once: it may change
    if (size < sizeof(FrameHeader) || size > max_lane_datagram || size > storage.size())
        return fail(ErrorKind::protocol, fmt::format("a frame of {} bytes is truncated or too long", size), EPROTO);
    std::memcpy(storage.data(), area_, size);
    Frame frame;
    std::memcpy(&frame.header, storage.data(), sizeof frame.header);
    if (Status checked = check_header(frame.header, size - sizeof frame.header, 0, 0); !checked)
        return std::unexpected(std::move(checked.error()));
    frame.payload = storage.subspan(sizeof(FrameHeader), frame.header.payload);
    return frame;
}

Result<SharedLaneMemory> SharedLaneMemory::create(UniqueFd& file) {
    UniqueFd memory(::memfd_create("fastrpc-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory) return fail_errno("memfd_create for a lane", errno);
    if (::ftruncate(memory.get(), size) != 0 || ::fcntl(memory.get(), F_ADD_SEALS, seals) != 0)
        return fail_errno("sizing a lane's memory", errno);
    Result<SharedLaneMemory> mapped = map_whole(memory.get());
    if (mapped) file = std::move(memory);
    return mapped;
}

Result<SharedLaneMemory> SharedLaneMemory::map(int file) {
    struct stat status {};
    const int found = ::fcntl(file, F_GET_SEALS); // first: without them the size means nothing
    if (found < 0 || (found & seals) != seals || ::fstat(file, &status) != 0 ||
        status.st_size != static_cast<off_t>(size))
        return fail(ErrorKind::protocol, "the memory of a lane is not what a host makes", EPROTO);
    return map_whole(file);
}

Result<SharedLaneMemory> SharedLaneMemory::map_whole(int file) {
    void* const base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) return fail_errno("mapping a lane's memory", errno);
    return SharedLaneMemory(static_cast<std::byte*>(base));
}

SharedLaneMemory::SharedLaneMemory(SharedLaneMemory&& other) noexcept : base_(std::exchange(other.base_, nullptr)) {}

SharedLaneMemory::~SharedLaneMemory() {
    if (base_ != nullptr) ::munmap(base_, size);
}

Result<std::array<UniqueFd, 2>> make_bell() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("making a lane's pipe", errno);
    std::array bell{UniqueFd(ends[0]), UniqueFd(ends[1])};
    if (::fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK) != 0) return fail_errno("making a lane's pipe", errno);
    return bell;
}

Status ring(int bell, Bell what) {
    ssize_t written = 0;
    do written = ::write(bell, &what, sizeof what);
    while (written < 0 && errno == EINTR);
    if (written == sizeof what) return {};
    return fail(ErrorKind::lost, "the peer of a lane is gone, or deaf", errno);
}

Bell hear(int bell) noexcept {
    Bell what = Bell::over;
    ssize_t got = 0;
    do got = ::read(bell, &what, sizeof what);
    while (got < 0 && errno == EINTR);
    return got == sizeof what && what == Bell::frame ? Bell::frame : Bell::over;
}

} // namespace fastrpc
