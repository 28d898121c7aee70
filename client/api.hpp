// What the C functions have in common: they check what a C caller can get wrong, and let nothing but codes out.
#pragma once

#include "base/result.hpp"
#include "client/failure.hpp"
#include "client/fastrpc.h"
#include "client/session.hpp"

#include <cstdint>
#include <fmt/core.h>
#include <new>
#include <string_view>

namespace fastrpc::core {

// Out of memory is the one exception that the environment, not a bug, can raise.
template<class Body>
int guarded(fastrpc_error* error, Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return report(error, {FASTRPC_ENOMEMORY, "system", {}});
    }
}

inline int report_error(fastrpc_error* error, const Error& why) {
    return report(error, failure_of(why));
}

inline int missing(fastrpc_error* error, const char* what) {
    return guarded(error, [&] {
        return report(error, {FASTRPC_EBADPARM, "invalid", fmt::format("{} is NULL", what)});
    });
}

/// A child of a fork shares its parent's sockets: one request from it would be answered to the parent.
bool refuse_child(const Session& session, fastrpc_error* error);

/// Reports what kept a call from its answer, and gives a broken connection its reason.
int report_call(Session& session, fastrpc_error* error, Error why);
/// Reports `result` and `os_error` of a call that reached the driver and is no success. `what` as in
/// failure_of_result().
int report_answer(Session& session, fastrpc_error* error, std::string_view what, std::int32_t result,
                  std::int32_t os_error);

} // namespace fastrpc::core
