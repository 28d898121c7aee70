// Conditions that a caller can act on.
//
// A function that can fail for a reason outside the program returns Result<T>. The kind is what a program acts on (it
// becomes a D-Bus error name or an AEE code at the edge), the text is what a person reads: what failed, why, and how
// to mend it. Exceptions are for bugs alone.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace fastrpc {

/// Stable numbers: they travel in the lane and control protocols.
enum class ErrorKind : std::uint16_t {
    none = 0,
    invalid = 1,      ///< the request is malformed or out of its bounds
    denied = 2,       ///< the policy says no
    not_found = 3,    ///< a named thing (file, module, handle, buffer, session) does not exist
    no_domain = 4,    ///< this machine has no such DSP
    offline = 5,      ///< the DSP exists but its node is away or refuses
    busy = 6,         ///< all hardware sessions of the DSP are taken
    quota = 7,        ///< a limit of the grant is reached
    lost = 8,         ///< the session or its generation is gone
    timeout = 9,      ///< a deadline passed
    unsupported = 10, ///< known, but not offered here
    protocol = 11,    ///< the peer broke the protocol; its connection ends
    system = 12,      ///< the operating system refused; os_error says how
    dsp = 13,         ///< the DSP answered with an error
};

/// Lower-case word for logs, JSON and D-Bus error names, e.g. "denied".
std::string_view to_string(ErrorKind kind) noexcept;

struct Error {
    ErrorKind kind = ErrorKind::system;
    int os_error = 0; ///< errno where there is one, else 0
    std::string text; ///< what, why, how to fix; no trailing newline
};

template<class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// An error ready to be returned from any Result function.
[[nodiscard]] std::unexpected<Error> fail(ErrorKind kind, std::string text, int os_error = 0);
/// ErrorKind::system with "`what`: <strerror(os_error)>".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int os_error);

/// Text for an errno value, thread-safe.
std::string errno_text(int os_error);

} // namespace fastrpc
