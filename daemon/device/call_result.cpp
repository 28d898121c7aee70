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

} // namespace fastrpc::daemon
