// A call of a method, from the arguments of a C caller to the code that it gets.
//
// Arguments that fit travel in the lane's datagram. Of what does not, the largest go through a buffer of the library's
// (arena.hpp), so that a caller needs to know of no limit.
#pragma once

#include "client/arguments.hpp"
#include "client/fastrpc.h"
#include "client/handles.hpp"
#include "ipc/scalars.hpp"

#include <span>

namespace fastrpc::core {

/// As fastrpc_invoke; the module's session must belong to this process.
int call(const fastrpc_module& module, Scalars scalars, std::span<const fastrpc_arg> args, fastrpc_error* error);

} // namespace fastrpc::core
