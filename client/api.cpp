// The C functions: they check what a C caller can get wrong, and let nothing but codes out.
#include "client/arguments.hpp"
#include "client/bus.hpp"
#include "client/failure.hpp"
#include "client/fastrpc.h"
#include "client/handles.hpp"
#include "client/session.hpp"
#include "ipc/aee.hpp"
#include "ipc/module_uri.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <new>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::core;

namespace {

// Out of memory is the one exception that the environment, not a bug, can raise.
template<class Body>
int guarded(fastrpc_error* error, Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return report(error, {FASTRPC_ENOMEMORY, "system", {}});
    }
}

int report_error(fastrpc_error* error, const Error& why) {
    return report(error, failure_of(why));
}

int missing(fastrpc_error* error, const char* what) {
    return guarded(error, [&] {
        return report(error, {FASTRPC_EBADPARM, "invalid", fmt::format("{} is NULL", what)});
    });
}

// A child of a fork shares its parent's sockets: one request from it would be answered to the parent.
bool refuse_child(const Session& session, fastrpc_error* error) {
    if (!session.forked()) return false;
    report(error, {FASTRPC_EBADSTATE, "invalid",
                   "the session belongs to the process from which this one was forked; open a session after the fork"});
    return true;
}

// A module may say "bad state" of itself; then its caller waits this long for nothing.
constexpr int word_of_dying_pd_ms = 100;

// Gives a broken connection its reason.
int report_call(Session& session, fastrpc_error* error, Error why) {
    if (why.kind == ErrorKind::lost) why = session.why(std::move(why));
    return report_error(error, why);
}

int report_answer(Session& session, fastrpc_error* error, std::string_view what, std::int32_t result,
                  std::int32_t os_error) {
    Failure failure = failure_of_result(what, result, os_error);
    if (gone(result, os_error)) {
        const Error why = session.why({ErrorKind::lost, os_error, failure.text});
        return report_error(error, why);
    }
    // So the DSP answers for a PD that ends, and in a moment the host says how: it crashed, and while doing what.
    if (result == aee::on_dsp(aee::bad_state))
        if (const auto why = session.lost_within(word_of_dying_pd_ms)) failure.text += "; " + why->text;
    return report(error, failure);
}

// The dma-buf's size, or 0 where it does not tell.
std::uint64_t size_of(int fd) noexcept {
    const off_t end = ::lseek(fd, 0, SEEK_END);
    return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

} // namespace

int fastrpc_session_open(const fastrpc_open_options* options, fastrpc_session** session, fastrpc_error* error) {
    if (session == nullptr) return missing(error, "session");
    *session = nullptr;
    return guarded(error, [&] {
        const fastrpc_open_options defaults{};
        const fastrpc_open_options& wanted = options != nullptr ? *options : defaults;
        if (std::ranges::any_of(wanted.reserved, [](std::uint64_t word) { return word != 0; }))
            return report(error, {FASTRPC_EBADPARM, "invalid", "reserved members of the options are not 0"});
        if ((wanted.directories == nullptr && wanted.directory_count != 0) ||
            (wanted.directory_fds == nullptr && wanted.directory_fd_count != 0))
            return missing(error, "the array of directories");
        auto opened = open_on_bus(wanted);
        if (!opened) return report(error, opened.error());
        auto handle = std::make_unique<fastrpc_session>();
        handle->core = std::make_shared<Session>(std::move(opened->socket), std::move(opened->info));
        *session = handle.release();
        return succeed(error);
    });
}

void fastrpc_session_close(fastrpc_session* session) {
    if (session == nullptr) return;
    // Losing the reason's text to a lack of memory still ends the session: its socket closes with its last owner.
    guarded(nullptr, [&] {
        session->core->close();
        return 0;
    });
    delete session;
}

const char* fastrpc_session_path(const fastrpc_session* session) {
    return session != nullptr ? session->core->info().path.c_str() : nullptr;
}

const char* fastrpc_session_id(const fastrpc_session* session) {
    if (session == nullptr) return nullptr;
    const std::string& path = session->core->info().path;
    return path.c_str() + (path.rfind('/') + 1); // npos + 1 = 0
}

const fastrpc_grant* fastrpc_session_grant(const fastrpc_session* session) {
    return session != nullptr ? &session->core->grant() : nullptr;
}

int fastrpc_session_usage(fastrpc_session* session, fastrpc_usage* usage, fastrpc_error* error) {
    if (session == nullptr || usage == nullptr) return missing(error, "session or usage");
    return guarded(error, [&] {
        if (refuse_child(*session->core, error)) return FASTRPC_EBADSTATE;
        auto counters = session->core->usage();
        if (!counters) return report_error(error, counters.error());
        *usage = {};
        usage->calls = counters->calls;
        usage->failed_calls = counters->failed_calls;
        usage->bytes = counters->bytes;
        usage->reverse_calls = counters->reverse_calls;
        usage->files_served = counters->files_served;
        usage->bytes_served = counters->bytes_served;
        usage->files_missing = counters->files_missing;
        counters->last_missing.copy(usage->last_missing, sizeof usage->last_missing - 1);
        usage->lanes = counters->lanes;
        usage->buffers = counters->buffers;
        usage->mapped_bytes = counters->mapped_bytes;
        usage->p50_us = counters->p50_us;
        usage->p99_us = counters->p99_us;
        return succeed(error);
    });
}

int fastrpc_module_uri(const fastrpc_session* session, const char* library, const char* interface, char* uri,
                       size_t size, fastrpc_error* error) {
    if (session == nullptr || library == nullptr || interface == nullptr || uri == nullptr)
        return missing(error, "session, library, interface or uri");
    return guarded(error, [&] {
        for (const std::string_view name : {std::string_view(library), std::string_view(interface)})
            if (name.empty() || name.find_first_of("/?&#") != std::string_view::npos)
                return report(error, {FASTRPC_EBADPARM, "invalid",
                                      fmt::format("\"{}\" can't stand in a module URI: give a plain name", name)});
        const std::string text = fmt::format("file:///{}?{}_skel_handle_invoke&_modver=1.0&_dom={}", library, interface,
                                             session->core->info().domain);
        if (text.size() >= std::min(size, max_uri))
            return report(
                error, {FASTRPC_EBADPARM, "invalid",
                        fmt::format("the module URI has {} bytes, {} fit", text.size() + 1, std::min(size, max_uri))});
        std::memcpy(uri, text.c_str(), text.size() + 1);
        return succeed(error);
    });
}

int fastrpc_module_open(fastrpc_session* session, const char* uri, fastrpc_module** module, fastrpc_error* error) {
    if (session == nullptr || uri == nullptr || module == nullptr) return missing(error, "session, uri or module");
    *module = nullptr;
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        const std::string_view text(uri);
        if (text.empty() || text.size() >= max_uri)
            return report(error,
                          {FASTRPC_EBADPARM, "invalid",
                           fmt::format("a module URI has 1 to {} bytes, this one {}", max_uri - 1, text.size())});
        auto handle = std::make_unique<fastrpc_module>();
        auto lane = core.lane();
        if (!lane) return report_call(core, error, std::move(lane.error()));
        auto answer = (*lane)->open_module(text);
        if (!answer) return report_call(core, error, std::move(answer.error()));
        const ModuleReply& reply = answer->reply;
        if (reply.result != 0)
            return report_answer(core, error, fmt::format("opening {}", text), reply.result, reply.os_error);
        if (reply.dl_error != 0)
            return report(error,
                          {reply.dl_error, "dsp",
                           fmt::format("the DSP did not load {}: {}, {}", text, aee::describe(reply.dl_error),
                                       answer->text.empty() ? "without a word: is the file in one of the session's "
                                                              "directories?"
                                                            : answer->text)});
        if (reply.handle == 0)
            return report_error(error, {ErrorKind::protocol, 0, "the host opened a module without a handle"});
        handle->core = session->core;
        handle->handle = reply.handle;
        handle->name = module_file(text);
        *module = handle.release();
        return succeed(error);
    });
}

int fastrpc_module_close(fastrpc_module* module) {
    if (module == nullptr) return 0;
    const std::unique_ptr<fastrpc_module> handle(module);
    return guarded(nullptr, [&] {
        Session& core = *handle->core;
        if (core.forked()) return FASTRPC_EBADSTATE;
        auto lane = core.lane();
        if (!lane) return report_call(core, nullptr, std::move(lane.error()));
        auto answer = (*lane)->close_module(handle->handle);
        if (!answer) return report_call(core, nullptr, std::move(answer.error()));
        const ModuleReply& reply = answer->reply;
        if (reply.result != 0) return report_answer(core, nullptr, "closing a module", reply.result, reply.os_error);
        return static_cast<int>(reply.dl_error);
    });
}

int fastrpc_buffer_alloc(fastrpc_session* session, size_t size, fastrpc_buffer** buffer, fastrpc_error* error) {
    if (session == nullptr || buffer == nullptr) return missing(error, "session or buffer");
    *buffer = nullptr;
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        if (size == 0) return report(error, {FASTRPC_EBADPARM, "invalid", "a buffer of 0 bytes"});
        auto handle = std::make_unique<fastrpc_buffer>();
        auto fresh = core.allocate(size);
        if (!fresh) return report_error(error, fresh.error());
        handle->core = session->core;
        handle->id = fresh->id;
        handle->size = size;
        handle->fd = std::move(fresh->fd);
        // Touching a mapping beyond the end of its file would kill the program.
        void* data = size_of(handle->fd.get()) < size
                         ? (errno = EOVERFLOW, MAP_FAILED)
                         : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, handle->fd.get(), 0);
        if (data == MAP_FAILED) {
            const Error why{ErrorKind::system, errno,
                            fmt::format("mapping a buffer of {} bytes: {}", size, errno_text(errno))};
            fastrpc_buffer_free(handle.release());
            return report_error(error, why);
        }
        handle->data = data;
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
    if (handle->data != nullptr) ::munmap(handle->data, handle->size);
    return guarded(nullptr, [&] {
        if (handle->core->forked()) return FASTRPC_EBADSTATE;
        auto freed = handle->core->free_buffer(handle->id);
        return freed ? 0 : report_error(nullptr, freed.error());
    });
}

int fastrpc_invoke(fastrpc_module* module, uint32_t scalars, const fastrpc_arg* args, size_t count,
                   fastrpc_error* error) {
    if (module == nullptr) return missing(error, "module");
    if (args == nullptr && count != 0) return missing(error, "args");
    return guarded(error, [&] {
        Session& core = *module->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        const Scalars counts{scalars};
        const std::span arguments(args, count);
        const auto bytes = check_arguments(core, counts, arguments);
        if (!bytes) return report_error(error, bytes.error());
        auto lane = core.lane();
        if (!lane) return report_call(core, error, std::move(lane.error()));
        auto reply = (*lane)->invoke(module->handle, counts, arguments, *bytes);
        if (!reply) return report_call(core, error, std::move(reply.error()));
        if (reply->result == 0) return succeed(error);
        return report_answer(core, error, fmt::format("method {} of {}", counts.method(), module->name), reply->result,
                             reply->os_error);
    });
}
