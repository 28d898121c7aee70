#include "base/result.hpp"

#include <system_error>

namespace fastrpc {

std::string_view to_string(ErrorKind kind) noexcept {
    switch (kind) {
    case ErrorKind::none:
        return "none";
    case ErrorKind::invalid:
        return "invalid";
    case ErrorKind::denied:
        return "denied";
    case ErrorKind::not_found:
        return "not-found";
    case ErrorKind::no_domain:
        return "no-domain";
    case ErrorKind::offline:
        return "offline";
    case ErrorKind::busy:
        return "busy";
    case ErrorKind::quota:
        return "quota";
    case ErrorKind::lost:
        return "lost";
    case ErrorKind::timeout:
        return "timeout";
    case ErrorKind::unsupported:
        return "unsupported";
    case ErrorKind::protocol:
        return "protocol";
    case ErrorKind::system:
        return "system";
    case ErrorKind::dsp:
        return "dsp";
    }
    return "unknown";
}

std::unexpected<Error> fail(ErrorKind kind, std::string text, int os_error) {
    return std::unexpected(Error{kind, os_error, std::move(text)});
}

std::unexpected<Error> fail_errno(std::string_view what, int os_error) {
    return fail(ErrorKind::system, std::string(what) + ": " + errno_text(os_error), os_error);
}

std::string errno_text(int os_error) {
    return std::generic_category().message(os_error);
}

} // namespace fastrpc
