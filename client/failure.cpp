#include "client/failure.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/core.h>
#include <utility>

namespace fastrpc::core {
namespace {

constexpr std::string_view bus_prefix = "org.fastrpc1.Error.";

// The last parts of org.fastrpc1.Error names, and the bus's own errors.
constexpr std::array<std::pair<std::string_view, int>, 24> bus_codes{{
    {"AccessDenied", aee::bad_perms},
    {"SignedPdRefused", aee::bad_perms},
    {"NotOwner", aee::bad_perms},
    {"InvalidArgs", aee::bad_parm},
    {"PolicyInvalid", aee::failed},
    {"NoSuchDomain", aee::no_such_device},
    {"NoSuchPd", aee::no_such},
    {"NoSuchSession", aee::no_such},
    {"NotFound", aee::no_such},
    {"DomainOffline", aee::conn_refused},
    {"Busy", aee::no_session},
    {"QuotaExceeded", aee::item_busy},
    {"RateLimited", aee::item_busy},
    {"GenerationLost", aee::conn_reset},
    {"Lost", aee::conn_reset},
    {"Timeout", aee::expired},
    {"Unsupported", aee::unsupported},
    {"ModuleNotFound", aee::no_such_mod},
    {"org.freedesktop.DBus.Error.AccessDenied", aee::bad_perms},
    {"org.freedesktop.DBus.Error.InvalidArgs", aee::bad_parm},
    {"org.freedesktop.DBus.Error.ServiceUnknown", aee::conn_refused},
    {"org.freedesktop.DBus.Error.NameHasNoOwner", aee::conn_refused},
    {"org.freedesktop.DBus.Error.NoReply", aee::expired},
    {"org.freedesktop.DBus.Error.Timeout", aee::expired},
}};

void copy_cut(std::string_view from, char* to, std::size_t size) noexcept {
    const std::size_t length = std::min(from.size(), size - 1);
    std::copy_n(from.data(), length, to);
    to[length] = '\0';
}

} // namespace

int aee_of_errno(int os_error, int unknown) noexcept {
    switch (os_error) {
    case EIO:
    case ETOOMANYREFS:
    case EADDRNOTAVAIL:
    case ENOTTY:
    case EBADRQC:
    case ENOENT:
        return aee::rpc;
    case EFAULT:
    case ECHRNG:
    case EBADFD:
    case EINVAL:
    case EBADF:
    case EBADE:
    case EBADR:
    case EOVERFLOW:
    case EHOSTDOWN:
    case EEXIST:
    case EBADMSG:
        return aee::bad_parm;
    case ENXIO:
    case ENODEV:
    case ENOKEY:
        return aee::no_such_device;
    case ENOBUFS:
    case ENOMEM:
        return aee::no_memory;
    case ENOSR:
    case EDQUOT:
    case ETIMEDOUT:
    case EUSERS:
    case ESHUTDOWN:
        return aee::expired;
    case ENOTCONN:
    case ECONNREFUSED:
        return aee::conn_refused;
    case ECONNRESET:
    case EPIPE:
        return aee::conn_reset;
    case EPROTONOSUPPORT:
        return aee::unsupported;
    case EFBIG:
        return aee::file;
    case EACCES:
    case EPERM:
        return aee::bad_perms;
    case EBUSY:
        return aee::no_session;
    case EINTR:
        return aee::interrupted;
    default:
        return unknown;
    }
}

int aee_of(ErrorKind kind, int os_error) noexcept {
    switch (kind) {
    case ErrorKind::none:
        return aee::success;
    case ErrorKind::invalid:
        return aee::bad_parm;
    case ErrorKind::denied:
        return aee::bad_perms;
    case ErrorKind::not_found:
        return aee::no_such;
    case ErrorKind::no_domain:
        return aee::no_such_device;
    case ErrorKind::offline:
        return aee::conn_refused;
    case ErrorKind::busy:
        return aee::no_session;
    case ErrorKind::quota:
        return aee::item_busy;
    case ErrorKind::lost:
        return aee::conn_reset;
    case ErrorKind::timeout:
        return aee::expired;
    case ErrorKind::unsupported:
        return aee::unsupported;
    case ErrorKind::protocol:
        return aee::rpc;
    case ErrorKind::system:
        return aee_of_errno(os_error, aee::failed);
    case ErrorKind::dsp:
        return aee::failed;
    }
    return aee::failed;
}

int aee_of_bus_error(std::string_view name) noexcept {
    if (name.starts_with(bus_prefix)) name.remove_prefix(bus_prefix.size());
    for (const auto& [known, code] : bus_codes)
        if (known == name) return code;
    return aee::failed;
}

Failure failure_of(const Error& error) {
    return {aee_of(error.kind, error.os_error), std::string(to_string(error.kind)), error.text};
}

bool gone(std::int32_t result, std::int32_t os_error) noexcept {
    return result == -1 && (os_error == EPIPE || os_error == ECONNRESET || os_error == ENODEV);
}

Failure failure_of_result(std::string_view what, std::int32_t result, std::int32_t os_error) {
    if (result != -1) return {result, "dsp", fmt::format("{} returned {}", what, aee::describe(result))};
    // The kernel's refusal and a DSP's answer of -1 to -4095 look the same (KERNEL 1.11.6).
    return {aee_of_errno(os_error, -1), "system",
            fmt::format("{} did not succeed: {} (errno {}), from the driver or as the DSP's own result", what,
                        errno_text(os_error), os_error)};
}

int report(fastrpc_error* error, const Failure& failure) noexcept {
    if (error != nullptr) {
        error->code = failure.code;
        copy_cut(failure.name, error->name, sizeof error->name);
        copy_cut(failure.text, error->text, sizeof error->text);
    }
    return failure.code;
}

} // namespace fastrpc::core
