#include "device.hpp"

#include <cerrno>
#include <sys/ioctl.h>
#include <unistd.h>

namespace fastrpc::conformance {

std::string node_path(const std::string& name) {
    return "/dev/fastrpc-" + name;
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
        const int rc = raw_invoke(file, control_handle,
                                  sc(static_cast<unsigned>(method), input.empty() ? 0 : 1, output.empty() ? 0 : 1),
                                  arguments);
        if (rc != -1 || errno != ENOSPC || tries == 5000) return rc;
        ::usleep(1000);
    }
}

} // namespace fastrpc::conformance
