#include "vdsp/driver/arena.hpp"

#include "vdsp/driver/buffers.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cerrno>
#include <sys/mman.h>

namespace fastrpc::vdsp {

Result<MappedMemory> MappedMemory::map(int fd, std::uint64_t size) {
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) return fail_errno("mapping of payload memory", errno);
    return MappedMemory({static_cast<std::byte*>(address), size});
}

MappedMemory::~MappedMemory() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Arena::Payload::~Payload() {
    if (arena_) arena_->give_back(static_cast<std::uint64_t>(bytes_.data() - arena_->memory_.bytes().data()));
}

Result<std::shared_ptr<Arena>> Arena::make(AddressSpace& space, std::uint32_t sid, std::uint64_t size) {
    auto fd = make_memory("fastrpc-vdsp-payloads", size);
    if (!fd) return std::unexpected(fd.error());
    auto memory = MappedMemory::map(fd->get(), size);
    if (!memory) return std::unexpected(memory.error());
    auto window = space.add(sid, size, std::move(*fd));
    if (!window) return std::unexpected(window.error());
    std::shared_ptr<Arena> arena(new Arena);
    arena->space_ = &space;
    arena->sid_ = sid;
    arena->window_ = std::move(*window);
    arena->memory_ = std::move(*memory);
    return arena;
}

Result<Arena::Payload> Arena::allocate(std::uint64_t size) {
    size = (size + page_bytes - 1) & ~(page_bytes - 1);
    Payload payload;
    if (const auto offset = take(size)) {
        payload.arena_ = shared_from_this();
        payload.bytes_ = memory_.bytes().subspan(*offset, size);
        payload.dma_ = window_.address() + *offset;
        return payload;
    }
    auto fd = make_memory("fastrpc-vdsp-payload", size);
    if (!fd) return std::unexpected(fd.error());
    auto memory = MappedMemory::map(fd->get(), size);
    if (!memory) return std::unexpected(memory.error());
    auto window = space_->add(sid_, size, std::move(*fd));
    if (!window) return std::unexpected(window.error());
    payload.window_ = std::move(*window);
    payload.memory_ = std::move(*memory);
    payload.bytes_ = payload.memory_.bytes();
    payload.dma_ = payload.window_.address();
    return payload;
}

std::optional<std::uint64_t> Arena::take(std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    std::uint64_t offset = 0;
    for (const auto& [start, length] : used_) {
        if (start - offset >= size) break;
        offset = start + length;
    }
    const std::uint64_t capacity = memory_.bytes().size();
    if (offset > capacity || size > capacity - offset) return std::nullopt;
    used_[offset] = size;
    return offset;
}

void Arena::give_back(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    used_.erase(offset);
}

} // namespace fastrpc::vdsp
