#include "client/arguments.hpp"

#include "client/handles.hpp"
#include "ipc/lane.hpp"

#include <fmt/core.h>

namespace fastrpc::core {

Result<InlineBytes> check_arguments(const Session& session, Scalars scalars, std::span<const fastrpc_arg> args) {
    if (scalars.in_handles() + scalars.out_handles() != 0)
        return fail(ErrorKind::invalid, "the scalars of the call count handles, which can't be passed");
    if (args.size() != scalars.buffers())
        return fail(ErrorKind::invalid,
                    fmt::format("the scalars say {} arguments and the call has {}", scalars.buffers(), args.size()));
    InlineBytes bytes;
    for (std::size_t i = 0; i < args.size(); ++i) {
        const fastrpc_arg& arg = args[i];
        if (arg.buffer != nullptr) {
            if (arg.buffer->core.get() != &session)
                return fail(ErrorKind::invalid, fmt::format("argument {}: its buffer belongs to another session", i));
            if (arg.offset > arg.buffer->size || arg.size > arg.buffer->size - arg.offset)
                return fail(ErrorKind::invalid,
                            fmt::format("argument {}: {} bytes from {} leave its buffer of {} bytes", i, arg.size,
                                        arg.offset, arg.buffer->size));
            continue;
        }
        if (arg.data == nullptr && arg.size != 0)
            return fail(ErrorKind::invalid, fmt::format("argument {}: {} bytes at NULL", i, arg.size));
        std::size_t& total = i < scalars.in_buffers() ? bytes.in : bytes.out;
        // Compared first, because padding a size near SIZE_MAX would wrap.
        if (arg.size > max_inline || (total += padded(arg.size)) > max_inline)
            return fail(ErrorKind::invalid,
                        fmt::format("argument {}: {} bytes are too many: a call carries at most {} bytes of {} itself; "
                                    "put large arguments in a buffer (fastrpc_buffer_alloc) and pass that",
                                    i, arg.size, max_inline, i < scalars.in_buffers() ? "inputs" : "outputs"));
    }
    return bytes;
}

} // namespace fastrpc::core
