// The C functions of buffers.
#include "client/api.hpp"
#include "client/handles.hpp"
#include "client/memory.hpp"
#include "ipc/lane.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <sys/mman.h>
#include <utility>

using namespace fastrpc;
using namespace fastrpc::core;

namespace {

static_assert(FASTRPC_MAP_FIXED == static_cast<int>(MapMode::fixed) &&
              FASTRPC_MAP_FD == static_cast<int>(MapMode::fd) &&
              FASTRPC_MAP_FD_DELAYED == static_cast<int>(MapMode::fd_delayed) &&
              FASTRPC_MAP_FD_NOMAP == static_cast<int>(MapMode::fd_nomap));
constexpr std::array<std::uint32_t, 4> map_modes{FASTRPC_MAP_FIXED, FASTRPC_MAP_FD, FASTRPC_MAP_FD_DELAYED,
                                                 FASTRPC_MAP_FD_NOMAP};

int sync_buffer(const fastrpc_buffer* buffer, std::uint32_t access, bool begin, fastrpc_error* error) {
    if (buffer == nullptr) return missing(error, "buffer");
    return guarded(error, [&] {
        if (access == 0 || (access & ~(FASTRPC_READ | FASTRPC_WRITE)) != 0)
            return report(error, {FASTRPC_EBADPARM, "invalid",
                                  fmt::format("access {:#x}: give FASTRPC_READ, FASTRPC_WRITE or both", access)});
        auto synced = sync_memory(*buffer, access, begin);
        return synced ? succeed(error) : report_error(error, synced.error());
    });
}

} // namespace

int fastrpc_buffer_alloc(fastrpc_session* session, size_t size, fastrpc_buffer** buffer, fastrpc_error* error) {
    if (session == nullptr || buffer == nullptr) return missing(error, "session or buffer");
    *buffer = nullptr;
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        if (size == 0) return report(error, {FASTRPC_EBADPARM, "invalid", "a buffer of 0 bytes"});
        auto handle = std::make_unique<fastrpc_buffer>();
        handle->core = session->core;
        auto made = make_memory(core, size, *handle);
        // What the library keeps for later calls is the program's when it wants it.
        if (!made && made.error().kind == ErrorKind::quota && core.arenas().trim())
            made = make_memory(core, size, *handle);
        if (!made) return report_error(error, made.error());
        *buffer = handle.release();
        return succeed(error);
    });
}

int fastrpc_buffer_register(fastrpc_session* session, int fd, size_t size, fastrpc_buffer** buffer,
                            fastrpc_error* error) {
    if (session == nullptr || buffer == nullptr) return missing(error, "session or buffer");
    *buffer = nullptr;
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        auto handle = std::make_unique<fastrpc_buffer>();
        handle->fd.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!handle->fd)
            return report(error, {FASTRPC_EBADPARM, "invalid", fmt::format("fd {}: {}", fd, errno_text(errno))});
        const std::uint64_t whole = size_of(fd);
        handle->size = size != 0 ? size : static_cast<std::size_t>(whole);
        if (handle->size == 0 || handle->size > whole)
            return report(error,
                          {FASTRPC_EBADPARM, "invalid",
                           fmt::format("fd {} has {} bytes, {} were to be registered", fd, whole, handle->size)});
        auto fresh = core.register_buffer(fd, handle->size);
        if (!fresh) return report_error(error, fresh.error());
        handle->core = session->core;
        handle->id = fresh->id;
        handle->needs_sync = fresh->needs_sync;
        void* data = ::mmap(nullptr, handle->size, PROT_READ | PROT_WRITE, MAP_SHARED, handle->fd.get(), 0);
        // The DSP can use what we can't look at, e.g. a protected buffer.
        handle->data = data == MAP_FAILED ? nullptr : data;
        *buffer = handle.release();
        return succeed(error);
    });
}

void* fastrpc_buffer_data(const fastrpc_buffer* buffer) {
    return buffer != nullptr ? buffer->data : nullptr;
}
size_t fastrpc_buffer_size(const fastrpc_buffer* buffer) {
    return buffer != nullptr ? buffer->size : 0;
}
int fastrpc_buffer_fd(const fastrpc_buffer* buffer) {
    return buffer != nullptr ? buffer->fd.get() : -1;
}

int fastrpc_buffer_free(fastrpc_buffer* buffer) {
    if (buffer == nullptr) return 0;
    const std::unique_ptr<fastrpc_buffer> handle(buffer);
    return guarded(nullptr, [&] {
        Session& core = *handle->core;
        if (core.forked()) {
            if (handle->data != nullptr) ::munmap(handle->data, handle->size);
            return FASTRPC_EBADSTATE;
        }
        auto freed = free_memory(core, *handle);
        return freed ? 0 : report_error(nullptr, freed.error());
    });
}

int fastrpc_buffer_map(fastrpc_buffer* buffer, uint32_t mode, size_t length, uint64_t* dsp_address,
                       fastrpc_error* error) {
    if (dsp_address != nullptr) *dsp_address = 0;
    if (buffer == nullptr) return missing(error, "buffer");
    return guarded(error, [&] {
        Session& core = *buffer->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        if (std::ranges::find(map_modes, mode) == map_modes.end())
            return report(error,
                          {FASTRPC_EBADPARM, "invalid",
                           fmt::format("there is no map mode {}: see FASTRPC_MAP_FIXED and those beside it", mode)});
        if (length > buffer->size)
            return report(error, {FASTRPC_EBADPARM, "invalid",
                                  fmt::format("{} bytes to be mapped of a buffer of {}", length, buffer->size)});
        auto lane = core.lane();
        if (!lane) return report_call(core, error, std::move(lane.error()));
        const auto reply = (*lane)->map_buffer({buffer->id, mode, length});
        if (!reply) return report_call(core, error, reply.error());
        if (reply->result != 0) return report_answer(core, error, "mapping a buffer", reply->result, reply->os_error);
        if (dsp_address != nullptr) *dsp_address = reply->dsp_address;
        return succeed(error);
    });
}

int fastrpc_buffer_unmap(fastrpc_buffer* buffer, fastrpc_error* error) {
    if (buffer == nullptr) return missing(error, "buffer");
    return guarded(error, [&] {
        Session& core = *buffer->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        auto lane = core.lane();
        if (!lane) return report_call(core, error, std::move(lane.error()));
        const auto reply = (*lane)->unmap_buffer(buffer->id);
        if (!reply) return report_call(core, error, reply.error());
        if (reply->result != 0) return report_answer(core, error, "unmapping a buffer", reply->result, reply->os_error);
        return succeed(error);
    });
}

int fastrpc_buffer_begin(fastrpc_buffer* buffer, uint32_t access, fastrpc_error* error) {
    return sync_buffer(buffer, access, true, error);
}

int fastrpc_buffer_end(fastrpc_buffer* buffer, uint32_t access, fastrpc_error* error) {
    return sync_buffer(buffer, access, false, error);
}
