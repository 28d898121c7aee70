// Why a function of the public API fails: a code for programs, a name, and a text for people.
//
// Conditions come from four places, each with its own numbers: ourselves (ErrorKind), fastrpcd (D-Bus error names), the
// kernel (errno) and the DSP (its own codes). Here they become the AEE codes that FastRPC programs know.
#pragma once

#include "base/result.hpp"
#include "client/fastrpc.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace fastrpc::core {

/// What a fastrpc_error says.
struct Failure {
    int code = 0;
    std::string name;
    std::string text;
};

/// AEE code of a kind; `os_error` refines ErrorKind::system.
int aee_of(ErrorKind kind, int os_error) noexcept;
/// AEE code of an errno of the driver (USERSPACE 10.2), which does not know it: `unknown`.
int aee_of_errno(int os_error, int unknown) noexcept;
/// AEE code of a D-Bus error name; FASTRPC_EFAILED for an unknown one.
int aee_of_bus_error(std::string_view name) noexcept;

Failure failure_of(const Error& error);
/// The answer of a call that reached the driver: `result` and `os_error` of InvokeReply, not 0. `what` is its subject,
/// e.g. "the call".
Failure failure_of_result(std::string_view what, std::int32_t result, std::int32_t os_error);
/// The errno means that the DSP, its node or the PD is gone for good (design 8).
bool gone(std::int32_t result, std::int32_t os_error) noexcept;

/// Fills in `error` when there is one, text cut at its size; returns the code.
int report(fastrpc_error* error, const Failure& failure) noexcept;
/// Clears `error` when there is one; returns 0.
inline int succeed(fastrpc_error* error) noexcept {
    if (error != nullptr) error->code = 0, error->name[0] = '\0', error->text[0] = '\0';
    return 0;
}

} // namespace fastrpc::core
