#include "device.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace fastrpc::conformance {

std::string node_path(const std::string& name) {
    return "/dev/fastrpc-" + name;
}

std::string domain_of(const std::string& node) {
    return node.substr(0, node.find('-'));
}

int open_node(const std::string& name, int flags) {
    constexpr long settled_ms = 50;
    const std::string path = node_path(name);
    struct stat status {};
    timespec now{};
    if (::stat(path.c_str(), &status) != 0) return -1; // one that comes now would be too young to be opened
    ::clock_gettime(CLOCK_REALTIME, &now);
    const long age_ms =
        (now.tv_sec - status.st_ctim.tv_sec) * 1000 + (now.tv_nsec - status.st_ctim.tv_nsec) / 1'000'000;
    if (age_ms >= 0 && age_ms < settled_ms) ::usleep(static_cast<useconds_t>(settled_ms - age_ms) * 1000);
    errno = 0;
    return ::open(path.c_str(), flags);
}

int plain_memory_fd() {
    const int fd = ::memfd_create("no-dma-buf", MFD_CLOEXEC);
    (void)::ftruncate(fd, 4096);
    return fd;
}

int raw_invoke(int file, std::uint32_t handle, std::uint32_t scalars, std::span<const vdsp_invoke_arg> arguments) {
    vdsp_invoke call{.handle = handle, .sc = scalars, .args = reinterpret_cast<std::uint64_t>(arguments.data())};
    return ::ioctl(file, VDSP_INVOKE, &call);
}

int control(int file, Control method, std::span<const std::byte> input, std::span<std::byte> output) {
    std::vector<vdsp_invoke_arg> arguments;
    if (!input.empty()) arguments.push_back(arg(input.data(), input.size()));
    if (!output.empty()) arguments.push_back(arg(output.data(), output.size()));
    // The driver gives the id of an answered call back from a work item, so the last one may be there in a moment.
    for (int tries = 0;; ++tries) {
        const int rc =
            raw_invoke(file, control_handle,
                       sc(static_cast<unsigned>(method), input.empty() ? 0 : 1, output.empty() ? 0 : 1), arguments);
        if (rc != -1 || errno != ENOSPC || tries == 5000) return rc;
        ::usleep(1000);
    }
}

} // namespace fastrpc::conformance
