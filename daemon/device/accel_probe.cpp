#include "daemon/device/accel_probe.hpp"

#include "daemon/device/accel_abi.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/core.h>

namespace fastrpc::daemon {
namespace {

constexpr std::uint64_t probe_bytes = 4096;

/// 0 or the errno of the call.
int ask(Kernel& kernel, int fd, unsigned long code, void* argument) {
    return kernel.ioctl(fd, code, argument) == 0 ? 0 : errno;
}

std::unexpected<Error> unknown_generation(int os_error) {
    return fail(ErrorKind::unsupported,
                fmt::format("the accel driver is neither the RFC nor the v1 generation of QDA (GEM_CREATE and "
                            "GEM_MMAP_OFFSET: {}); use the misc driver or the driver's fastrpc shim",
                            os_error == 0 ? "an answer of another layout" : errno_text(os_error)),
                os_error);
}

/// Creates and closes an object in the layout of Gem; 0, an errno, or -1 for an answer that does not fit the layout.
template<class Gem>
int try_layout(Kernel& kernel, int fd) {
    Gem made{};
    made.value = probe_bytes;
    if (const int refused = ask(kernel, fd, accel_abi::gem_create, &made); refused != 0) return refused;
    if (made.handle == 0 || made.value != probe_bytes) return -1;
    Gem place{};
    place.handle = made.handle;
    const int refused = ask(kernel, fd, accel_abi::gem_mmap_offset, &place);
    close_gem(kernel, fd, made.handle);
    return refused;
}

} // namespace

void close_gem(Kernel& kernel, int fd, std::uint32_t handle) noexcept {
    accel_abi::GemClose request{handle, 0};
    kernel.ioctl(fd, accel_abi::gem_close, &request);
}

std::string query_accel(Kernel& kernel, int fd) {
    accel_abi::Query answer{};
    if (kernel.ioctl(fd, accel_abi::query, &answer) != 0) return {};
    return {answer.name, ::strnlen(answer.name, sizeof answer.name)};
}

Result<AccelGeneration> probe_accel(Kernel& kernel, int fd) {
    // The RFC reads the size where this has zeros, and refuses it.
    int refused = try_layout<accel_abi::GemV1>(kernel, fd);
    if (refused == 0) return AccelGeneration::v1;
    if (refused == EINVAL) {
        refused = try_layout<accel_abi::GemRfc>(kernel, fd);
        if (refused == 0) return AccelGeneration::rfc;
    }
    if (refused == ENOMEM)
        return fail(ErrorKind::busy, "all context banks of the DSP are taken; close a session and try again", ENOMEM);
    if (refused == ENODEV) return fail(ErrorKind::offline, "the DSP went away", ENODEV);
    return unknown_generation(refused == -1 ? 0 : refused);
}

} // namespace fastrpc::daemon
