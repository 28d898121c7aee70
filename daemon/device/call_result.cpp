// What a call gave back, for people (KERNEL 1.11.6).
#include "daemon/device/device.hpp"

#include "ipc/aee.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/core.h>

namespace fastrpc::daemon {

bool CallResult::gone() const noexcept {
    return result == -1 && (os_error == EPIPE || os_error == ECONNRESET || os_error == ENODEV);
}

std::string CallResult::text() const {
    if (result != -1) return aee::describe(result);
    const char* name = ::strerrorname_np(os_error);
    return fmt::format("{} ({})", name != nullptr ? name : "errno", errno_text(os_error));
}

Error CallResult::error(std::string_view what) const {
    const ErrorKind kind = gone() ? ErrorKind::lost : result == -1 ? ErrorKind::system : ErrorKind::dsp;
    return {kind, os_error, fmt::format("{}: {}", what, text())};
}

Result<std::uint64_t> Device::share(std::uint32_t id, std::uint64_t length, ShareMode mode) {
    const Result<Shared> shared = share_buffer(id, length, mode);
    if (!shared) return std::unexpected(shared.error());
    if (!shared->call.ok()) return std::unexpected(shared->call.error("mapping a buffer on the DSP"));
    return shared->dsp_address;
}

Status Device::unshare(std::uint32_t id) {
    const Result<CallResult> unshared = unshare_buffer(id);
    if (!unshared) return std::unexpected(unshared.error());
    if (!unshared->ok()) return std::unexpected(unshared->error("unmapping a buffer on the DSP"));
    return {};
}

Result<std::uint32_t> Device::capability(std::uint32_t id) const {
    const Facts& known = facts();
    if (id >= known.capabilities.size())
        return fail(ErrorKind::unsupported,
                    fmt::format("capability {} is not asked: 0 to {} are", id, known.capabilities.size() - 1));
    if (known.capabilities[id] == 0xFFFFFFFF)
        return fail(ErrorKind::unsupported, fmt::format("{} gave no answer for capability {}", node(), id));
    return known.capabilities[id];
}

} // namespace fastrpc::daemon
