// The arguments of a call, checked before anything is sent.
#pragma once

#include "base/result.hpp"
#include "client/fastrpc.h"
#include "ipc/scalars.hpp"

#include <cstddef>
#include <span>

namespace fastrpc::core {

class Session;

/// Bytes of a call that travel in the datagrams, each argument padded to 8.
struct InlineBytes {
    std::size_t in = 0;
    std::size_t out = 0;
};

/// Fails with ErrorKind::invalid when counts and scalars differ, on handles, on a NULL with a size, on a range that
/// leaves its buffer, on a buffer of another session than `session` and on more than max_inline bytes.
Result<InlineBytes> check_arguments(const Session& session, Scalars scalars, std::span<const fastrpc_arg> args);

} // namespace fastrpc::core
