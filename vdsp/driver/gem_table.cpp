#include "vdsp/driver/gem_table.hpp"

#include "vdsp/wire/payload_view.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>

namespace fastrpc::vdsp {

namespace {

std::uint64_t whole_pages(std::uint64_t bytes) {
    return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

UniqueFd reopen(int fd, int flags) {
    return UniqueFd(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), flags | O_CLOEXEC));
}

} // namespace

std::uint32_t GemTable::add(Object object) {
    std::uint32_t handle = 1;
    for (const auto& [taken, other] : objects_) {
        if (taken != handle) break;
        ++handle;
    }
    objects_.emplace(handle, std::move(object));
    return handle;
}

std::expected<std::uint32_t, int> GemTable::create(std::uint64_t size) {
    auto fd = buffers_.allocate(whole_pages(size), BufferKind::driver);
    if (!fd) return std::unexpected(ENOMEM);
    const auto info = buffers_.find(fd->get());
    if (!info) return std::unexpected(ENOMEM);
    const std::lock_guard lock(mutex_);
    return add({.fd = std::move(*fd), .inode = info->inode, .size = info->size});
}

std::expected<std::uint32_t, int> GemTable::import(int fd) {
    const auto info = buffers_.find(fd);
    if (!info) return std::unexpected(EINVAL);
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find_if(objects_, [&](const auto& one) { return one.second.inode == info->inode; });
    if (known != objects_.end()) return known->first;
    UniqueFd own = reopen(fd, O_RDWR); // a dma-buf has no read-only side for its device
    if (!own) return std::unexpected(errno);
    return add({.fd = std::move(own), .inode = info->inode, .size = info->size, .imported = true});
}

bool GemTable::close(std::uint32_t handle) {
    const std::lock_guard lock(mutex_);
    return objects_.erase(handle) != 0;
}

UniqueFd GemTable::open(std::uint32_t handle, int flags) const {
    const std::lock_guard lock(mutex_);
    const auto object = objects_.find(handle);
    return object == objects_.end() ? UniqueFd{} : reopen(object->second.fd.get(), flags);
}

std::expected<std::uint64_t, int> GemTable::offset_of(std::uint32_t handle, bool own_alone) {
    const std::lock_guard lock(mutex_);
    const auto object = objects_.find(handle);
    if (object == objects_.end()) return std::unexpected(ENOENT);
    if (own_alone && object->second.imported) return std::unexpected(EINVAL);
    if (object->second.offset == 0) {
        object->second.offset = next_offset_;
        next_offset_ += whole_pages(object->second.size);
    }
    return object->second.offset;
}

UniqueFd GemTable::at(std::uint64_t offset, std::uint64_t length) const {
    const std::lock_guard lock(mutex_);
    const auto object =
        std::ranges::find_if(objects_, [&](const auto& one) { return offset != 0 && one.second.offset == offset; });
    if (object == objects_.end() || length > whole_pages(object->second.size)) return {};
    return reopen(object->second.fd.get(), O_RDWR);
}

} // namespace fastrpc::vdsp
