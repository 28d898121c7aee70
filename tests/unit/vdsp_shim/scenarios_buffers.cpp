// Shared memory: dma-bufs of the heap and of the driver, who vouches for them, and arguments that lie in them.
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace fastrpc::vdsp::client {
namespace {

void buffers() {
    const int fd = device("/dev/fastrpc-cdsp-secure");
    const int buffer = allocate(10000);
    CHECK(lseek(buffer, 0, SEEK_END) == 12288);
    CHECK(fcntl(buffer, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(allocate(1, O_RDWR), F_GETFD) == 0);
    struct statfs kind {};
    CHECK(fstatfs(buffer, &kind) == 0 && kind.f_type == 0x444d4142);
    const int other = memfd_create("not a dma-buf", 0);
    CHECK(ftruncate(other, 4096) == 0);
    CHECK(fstatfs(other, &kind) == 0 && kind.f_type != 0x444d4142);
    const std::uint64_t sync = 3;
    CHECK(ioctl(buffer, VDSP_DMA_BUF_SYNC, &sync) == 0);
    CHECK(fails(ioctl(other, VDSP_DMA_BUF_SYNC, &sync), ENOTTY));

    auto* bytes = static_cast<std::uint8_t*>(map(buffer, 10000));
    std::memset(bytes, 7, 10000);
    const auto raised = [&](void* at, std::size_t length) {
        return invoke(fd, increment, 0, 1, {arg(at, length, buffer)}) == 0;
    };
    CHECK(raised(bytes, 10000) && std::count(bytes, bytes + 10000, 8) == 10000);
    CHECK(raised(bytes + 5000, 10) && std::count(bytes, bytes + 10000, 9) == 10 && bytes[5000] == 9);
    // A second mapping elsewhere, and one that a change of protection splits: the kernel counts from the split.
    auto* twin = static_cast<std::uint8_t*>(map(buffer, 12288));
    CHECK(raised(twin + 4096, 1) && bytes[4096] == 9);
    CHECK(mprotect(twin, 4096, PROT_READ) == 0);
    CHECK(raised(twin + 4096, 1) && bytes[0] == 9 && bytes[4096] == 9); // the wrong page, as KERNEL 1.17 says
    CHECK(mprotect(twin, 4096, PROT_READ | PROT_WRITE) == 0);
    CHECK(raised(twin + 4096, 1) && bytes[4096] == 10);
    munmap(twin, 12288);
    void* blind = map(buffer, 12288, PROT_NONE);
    CHECK(raised(static_cast<char*>(blind) + 8192, 1) && bytes[8192] == 9);

    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, other)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, 1000)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, -2)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 12289, buffer)}), EINVAL));
    CHECK(fails(invoke(fd, increment, 0, 1, {arg(bytes, 8, fd)}), EINVAL)); // a device is no buffer
    CHECK(invoke(fd, poke, 0, 0, {arg(reinterpret_cast<void*>(std::uintptr_t{100}), 4, buffer)}, 1) == 0);
    CHECK(bytes[100] == 0x77);

    vdsp_mem_map mapping{.fd = 1000, .length = 4096};
    CHECK(fails(ioctl(fd, VDSP_MEM_MAP, &mapping), EBADF));
    mapping.fd = other;
    CHECK(fails(ioctl(fd, VDSP_MEM_MAP, &mapping), EINVAL));
    mapping.fd = buffer;
    CHECK(ioctl(fd, VDSP_MEM_MAP, &mapping) == 0);
    vdsp_init_create create{.filelen = 100, .filefd = 1000, .file = reinterpret_cast<std::uint64_t>(bytes)};
    CHECK(fails(ioctl(fd, VDSP_INIT_CREATE, &create), EBADF));
    create.filefd = buffer;
    CHECK(ioctl(fd, VDSP_INIT_CREATE, &create) == 0);

    vdsp_alloc_dma_buff own{.size = 6000};
    CHECK(ioctl(fd, VDSP_ALLOC_DMA_BUFF, &own) == 0 && fcntl(own.fd, F_GETFD) == 0);
    CHECK(lseek(own.fd, 0, SEEK_END) == 6000);
    CHECK(mmap(nullptr, 6000, PROT_READ, MAP_SHARED, own.fd, 0) == MAP_FAILED && errno == EINVAL);
    map(own.fd, 4096);
    own.size = 8192;
    CHECK(ioctl(fd, VDSP_ALLOC_DMA_BUFF, &own) == 0);
    CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, own.fd, 4096) == MAP_FAILED && errno == ENXIO);
    CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, own.fd, 100) == MAP_FAILED && errno == EINVAL);
    vdsp_heap_alloc request{.len = 4096, .fd = 5};
    const int heap = open("/dev/dma_heap/system", O_RDWR);
    CHECK(fails(ioctl(heap, VDSP_HEAP_ALLOC, &request), EINVAL));
    CHECK(fails(invoke(heap, echo, 0, 0, {}), ENOTTY));
    CHECK(fails(ioctl(heap, VDSP_INIT_ATTACH, nullptr), ENOTTY));
}

} // namespace

void add_buffer_scenarios(Scenarios& scenarios) {
    scenarios.emplace("buffers", buffers);
}

} // namespace fastrpc::vdsp::client
