// Accel nodes as a program sees them: objects, their memory, and whose context bank a file takes (KERNEL 2.4).
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::vdsp::client {
namespace {

int accel_device() {
    const int fd = open("/dev/accel/accel0", O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

/// A new object's handle, or -1.
int create_object(int fd, std::uint64_t size) {
    vdsp_qda_gem_create_v1 request{.size = size, .handle = 0, .pad = 0};
    return ioctl(fd, VDSP_QDA_GEM_CREATE, &request) == 0 ? static_cast<int>(request.handle) : -1;
}

void objects() {
    const int fd = accel_device();
    vdsp_qda_query query{};
    CHECK(ioctl(fd, VDSP_QDA_QUERY, &query) == 0 && std::memcmp(&query, "gdsp0", 6) == 0);
    const int handle = create_object(fd, 8192);
    CHECK(handle == 1);
    vdsp_qda_gem_mmap_offset_v1 where{.offset = 0, .handle = 1, .pad = 0};
    CHECK(ioctl(fd, VDSP_QDA_GEM_MMAP_OFFSET, &where) == 0);
    void* memory = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(where.offset));
    CHECK(memory != MAP_FAILED);
    std::memset(memory, 0x5a, 8192);
    vdsp_drm_prime exported{.handle = 1, .flags = O_CLOEXEC | O_RDWR, .fd = -1};
    CHECK(ioctl(fd, VDSP_DRM_PRIME_HANDLE_TO_FD, &exported) == 0 && exported.fd >= 0);
    const auto* other = static_cast<const unsigned char*>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, exported.fd, 0));
    CHECK(other != MAP_FAILED && other[8191] == 0x5a);
    CHECK(fails(ioctl(fd, VDSP_QDA_INIT_ATTACH, 0), EINVAL)); // gone in this generation
    CHECK(close(fd) == 0);
}

// The only bank is the task's: its files share it, another thread of the same process has none.
void one_bank() {
    const int first = accel_device(), second = accel_device();
    CHECK(create_object(first, 4096) == 1 && create_object(second, 4096) == 1);
    std::thread([] {
        const int third = accel_device();
        CHECK(create_object(third, 4096) == -1 && errno == ENOMEM);
        CHECK(close(third) == 0);
    }).join();
    CHECK(close(first) == 0);
    CHECK(close(second) == 0);
    std::thread([] {
        const int third = accel_device();
        CHECK(create_object(third, 4096) == 1);
        CHECK(close(third) == 0);
    }).join();
}

} // namespace

void add_accel_scenarios(Scenarios& scenarios) {
    scenarios.emplace("accel-objects", objects);
    scenarios.emplace("accel-one-bank", one_bank);
}

} // namespace fastrpc::vdsp::client
