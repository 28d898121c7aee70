#include "daemon/device/guarded_area.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

// As large as the largest page of any supported kernel, so that the area ends at a page boundary everywhere.
constexpr std::size_t guard = 64U << 10;

constexpr std::size_t writable(std::size_t size) {
    return std::max<std::size_t>(1, (size + guard - 1) / guard) * guard;
}

} // namespace

GuardedArea::GuardedArea(std::size_t size) : base_(nullptr), size_(size) {
    void* const memory = ::mmap(nullptr, writable(size) + guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(memory);
    if (::mprotect(base_, writable(size), PROT_READ | PROT_WRITE) != 0) {
        ::munmap(memory, writable(size) + guard);
        throw std::bad_alloc();
    }
}

GuardedArea::~GuardedArea() {
    ::munmap(base_, writable(size_) + guard);
}

void GuardedArea::resize(std::size_t size) {
    GuardedArea moved(size);
    std::memcpy(moved.base_, base_, std::min(size, size_));
    std::swap(base_, moved.base_);
    std::swap(size_, moved.size_);
}

} // namespace fastrpc::daemon
