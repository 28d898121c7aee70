#include "client/call.hpp"

#include "client/api.hpp"
#include "client/arena.hpp"
#include "client/memory.hpp"
#include "client/session.hpp"

#include <cstring>
#include <fmt/core.h>

namespace fastrpc::core {
namespace {

// Copies what was moved, into the arena before the call and out of it after.
Status copy_in(const Arena& arena, Scalars scalars, std::span<const fastrpc_arg> args) {
    if (auto begun = sync_memory(arena.memory, FASTRPC_WRITE, true); !begun) return begun;
    for (unsigned i = 0; i < scalars.in_buffers(); ++i)
        if (arena.moved[i] && args[i].size != 0)
            std::memcpy(static_cast<std::byte*>(arena.memory.data) + arena.args[i].offset, args[i].data, args[i].size);
    return sync_memory(arena.memory, FASTRPC_WRITE, false);
}

Status copy_out(const Arena& arena, Scalars scalars, std::span<const fastrpc_arg> args) {
    if (auto begun = sync_memory(arena.memory, FASTRPC_READ, true); !begun) return begun;
    for (unsigned i = scalars.in_buffers(); i < scalars.buffers(); ++i)
        if (arena.moved[i] && args[i].size != 0)
            std::memcpy(args[i].data, static_cast<std::byte*>(arena.memory.data) + arena.args[i].offset, args[i].size);
    return sync_memory(arena.memory, FASTRPC_READ, false);
}

Result<InvokeReply> call_through_arena(Session& session, Lane& lane, std::uint32_t handle, Scalars scalars,
                                       std::span<const fastrpc_arg> args, InlineBytes bytes) {
    const MovedArguments moved = choose_moved(scalars, args, bytes);
    auto use = session.arenas().take(moved.bytes);
    if (!use) return std::unexpected(std::move(use.error()));
    Arena& arena = **use;
    arena.place(moved, args);
    if (auto copied = copy_in(arena, scalars, args); !copied) return std::unexpected(std::move(copied.error()));
    auto reply = lane.invoke(handle, scalars, std::span(arena.args).first(args.size()), moved.left);
    // The errno of a refusal may also be the DSP's own answer, with outputs; but not that of a DSP that is gone.
    if (!reply || gone(reply->result, reply->os_error)) return reply;
    if (auto copied = copy_out(arena, scalars, args); !copied) return std::unexpected(std::move(copied.error()));
    return reply;
}

} // namespace

int call(const fastrpc_module& module, Scalars scalars, std::span<const fastrpc_arg> args, fastrpc_error* error) {
    Session& session = *module.core;
    const auto bytes = check_arguments(session, scalars, args);
    if (!bytes) return report_error(error, bytes.error());
    // The lane comes first: whoever holds an arena then waits for no lane, so waiting for an arena always ends.
    auto lane = session.lane();
    if (!lane) return report_call(session, error, std::move(lane.error()));
    auto reply = bytes->fit() ? (*lane)->invoke(module.handle, scalars, args, *bytes)
                              : call_through_arena(session, *lane->operator->(), module.handle, scalars, args, *bytes);
    if (!reply) return report_call(session, error, std::move(reply.error()));
    if (reply->result == 0) return succeed(error);
    return report_answer(session, error, fmt::format("method {} of {}", scalars.method(), module.name), reply->result,
                         reply->os_error);
}

} // namespace fastrpc::core
