// The C functions of sessions and modules, and what all C functions do with failures.
#include "client/api.hpp"

#include "client/bus.hpp"
#include "client/handles.hpp"
#include "ipc/aee.hpp"
#include "ipc/module_uri.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

using namespace fastrpc;
using namespace fastrpc::core;

namespace {

// A module may say "bad state" of itself; then its caller waits this long for nothing.
constexpr int word_of_dying_pd_ms = 100;

} // namespace

bool core::refuse_child(const Session& session, fastrpc_error* error) {
    if (!session.forked()) return false;
    report(error, {FASTRPC_EBADSTATE, "invalid",
                   "the session belongs to the process from which this one was forked; open a session after the fork"});
    return true;
}

int core::report_call(Session& session, fastrpc_error* error, Error why) {
    if (why.kind == ErrorKind::lost) why = session.why(std::move(why));
    return report_error(error, why);
}

int core::report_answer(Session& session, fastrpc_error* error, std::string_view what, std::int32_t result,
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

int fastrpc_session_open(const fastrpc_open_options* options, fastrpc_session** session, fastrpc_error* error) {
    if (session == nullptr) return missing(error, "session");
    *session = nullptr;
    return guarded(error, [&] {
        const fastrpc_open_options defaults{};
        const fastrpc_open_options& wanted = options != nullptr ? *options : defaults;
        if (std::ranges::any_of(wanted.reserved, [](std::uint32_t word) { return word != 0; }))
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

int fastrpc_session_close(fastrpc_session* session) {
    if (session == nullptr) return 0;
    Session& core = *session->core;
    if (!core.forked()) {
        // It would wait for itself.
        if (core.on_own_thread()) return FASTRPC_EBADSTATE;
        // Losing the reason's text to a lack of memory still ends the session.
        guarded(nullptr, [&] {
            core.close();
            return 0;
        });
        core.finish();
    }
    delete session;
    return 0;
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
