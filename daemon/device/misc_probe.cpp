#include "daemon/device/misc_probe.hpp"

#include "daemon/device/misc_abi.hpp"

#include <cerrno>
#include <cstdio>
#include <fmt/core.h>

namespace fastrpc::daemon {
namespace {

constexpr std::uint32_t unknown = 0xFFFFFFFF;

/// errno of an ioctl whose argument lies nowhere, which changes nothing on the file (KERNEL 1.7).
int refusal(Kernel& kernel, int fd, unsigned long code) {
    return kernel.ioctl(fd, code, nullptr) == -1 ? errno : 0;
}

// From 6.14 on a client is known by its slot (KERNEL 1.6).
ClientIds client_ids_of(const std::string& release) {
    unsigned major = 0;
    unsigned minor = 0;
    if (std::sscanf(release.c_str(), "%u.%u", &major, &minor) != 2) return ClientIds::process; // the careful guess
    return major > 6 || (major == 6 && minor >= 14) ? ClientIds::slot : ClientIds::process;
}

// Kernels only check the number, and not all know the later ones (KERNEL 1.4); it does not select a DSP.
std::uint32_t accepted_number(Domain domain) {
    return domain == Domain::adsp || domain == Domain::sdsp ? static_cast<std::uint32_t>(domain) : 3;
}

} // namespace

std::string MiscProfile::text() const {
    return fmt::format("{}{}, clients known by {} (kernel {})",
                       is_shim      ? "QDA shim behind the misc nodes"
                       : has_static ? "misc driver of 6.2 or later"
                                    : "misc driver before 6.2, without static PDs",
                       has_poll_mode ? " with poll mode" : "", client_ids == ClientIds::slot ? "slot" : "process",
                       release);
}

MiscProfile probe_misc(int fd, const BackendOptions& options) {
    Kernel& kernel = *options.kernel;
    MiscProfile profile;
    profile.release = kernel.release();
    profile.client_ids = options.client_ids.value_or(client_ids_of(profile.release));
    const int creating = refusal(kernel, fd, misc_abi::init_create_static);
    profile.has_static = creating != ENOTTY;
    profile.is_shim = creating == EPERM || kernel.exists("/sys/module/qda_fastrpc_shim");
    profile.has_poll_mode = refusal(kernel, fd, misc_abi::set_option) == EFAULT;
    return profile;
}

std::array<std::uint32_t, capability_count> ask_misc_capabilities(Kernel& kernel, int fd, Domain domain) {
    auto values = unknown_capabilities();
    for (std::uint32_t id = 1; id < values.size(); ++id) {
        misc_abi::Capability request{accepted_number(domain), id, unknown, {}};
        if (kernel.ioctl(fd, misc_abi::get_dsp_info, &request) != 0) break;
        values[id] = request.value != unknown ? request.value : request.domain;
    }
    // Id 0, "is there such a DSP", is user space's to answer.
    if (values[1] != unknown) values[0] = 1;
    return values;
}

} // namespace fastrpc::daemon
