#include "daemon/device/backend.hpp"

#include "daemon/device/accel.hpp"
#include "daemon/device/misc.hpp"

#include <array>
#include <cerrno>
#include <fmt/core.h>
#include <optional>
#include <span>

namespace fastrpc::daemon {
namespace {

using Opener = Result<std::unique_ptr<Device>> (*)(Domain, PdKind, const BackendOptions&);

constexpr std::array for_static_pds{Opener{open_misc}, Opener{open_accel}};
constexpr std::array for_sessions{Opener{open_accel}, Opener{open_misc}};

bool is_absent(const Error& error) {
    return error.kind == ErrorKind::offline && error.os_error == ENOENT;
}

} // namespace

Result<std::unique_ptr<Device>> open_backend(Domain domain, PdKind kind, const BackendOptions& options) {
    std::optional<Error> nearest;
    std::string absent;
    for (const Opener open : is_static(kind) ? for_static_pds : for_sessions) {
        Result<std::unique_ptr<Device>> device = open(domain, kind, options);
        if (device) return device;
        Error& error = device.error();
        if (is_absent(error)) {
            absent += (absent.empty() ? "" : "; ") + error.text;
        } else {
            // What another driver lacks or hides may stand behind the next one's node; a full DSP stays full.
            if (error.kind != ErrorKind::unsupported && error.kind != ErrorKind::offline) return device;
            if (!nearest || nearest->kind == ErrorKind::offline) nearest = std::move(error);
        }
    }
    if (nearest) return std::unexpected(std::move(*nearest));
    return fail(ErrorKind::offline, std::move(absent), ENOENT);
}

} // namespace fastrpc::daemon
