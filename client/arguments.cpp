#include "client/arguments.hpp"

#include "client/handles.hpp"

#include <fmt/core.h>

namespace fastrpc::core {
namespace {

Status check_in_buffer(const Session& session, const fastrpc_arg& arg, std::size_t number) {
    if (arg.buffer->core.get() != &session)
        return fail(ErrorKind::invalid, fmt::format("argument {}: its buffer belongs to another session", number));
    if (arg.offset > arg.buffer->size || arg.size > arg.buffer->size - arg.offset)
        return fail(ErrorKind::invalid, fmt::format("argument {}: {} bytes from {} leave its buffer of {} bytes",
                                                    number, arg.size, arg.offset, arg.buffer->size));
    return {};
}

} // namespace

Result<InlineBytes> check_arguments(const Session& session, Scalars scalars, std::span<const fastrpc_arg> args) {
    if (args.size() != scalars.arguments())
        return fail(ErrorKind::invalid,
                    fmt::format("the scalars say {} arguments and the call has {}", scalars.arguments(), args.size()));
    InlineBytes bytes;
    for (std::size_t i = 0; i < args.size(); ++i) {
        const fastrpc_arg& arg = args[i];
        if (arg.size > max_argument)
            return fail(ErrorKind::invalid,
                        fmt::format("argument {}: {} bytes, a DSP takes at most {}", i, arg.size, max_argument));
        if (arg.buffer != nullptr) {
            if (auto checked = check_in_buffer(session, arg, i); !checked) return std::unexpected(checked.error());
            if (i >= scalars.buffers() && std::uint64_t{arg.offset} >> 32 != 0)
                return fail(ErrorKind::invalid,
                            fmt::format("argument {}: a handle starts below 4 GiB, not at {}", i, arg.offset));
            continue;
        }
        if (i >= scalars.buffers())
            return fail(ErrorKind::invalid, fmt::format("argument {} is a handle, and has no buffer", i));
        if (arg.data == nullptr && arg.size != 0)
            return fail(ErrorKind::invalid, fmt::format("argument {}: {} bytes at NULL", i, arg.size));
        (i < scalars.in_buffers() ? bytes.in : bytes.out) += padded(arg.size);
    }
    return bytes;
}

MovedArguments choose_moved(Scalars scalars, std::span<const fastrpc_arg> args, InlineBytes bytes) {
    MovedArguments moved;
    const auto choose = [&](std::size_t first, std::size_t last, std::uint64_t& left) {
        while (left > max_inline) {
            std::size_t largest = last;
            for (std::size_t i = first; i < last; ++i)
                if (args[i].buffer == nullptr && !moved.chosen[i] &&
                    (largest == last || args[i].size > args[largest].size))
                    largest = i;
            moved.chosen.set(largest);
            moved.bytes += arena_share(args[largest].size);
            left -= padded(args[largest].size);
        }
    };
    moved.left = bytes;
    choose(0, scalars.in_buffers(), moved.left.in);
    choose(scalars.in_buffers(), scalars.buffers(), moved.left.out);
    return moved;
}

} // namespace fastrpc::core
