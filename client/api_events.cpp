// The C functions of events and services.
#include "client/api.hpp"
#include "client/events.hpp"
#include "client/handles.hpp"
#include "client/service.hpp"
#include "ipc/lane.hpp"

#include <fmt/core.h>
#include <memory>
#include <string_view>
#include <utility>

using namespace fastrpc;
using namespace fastrpc::core;

namespace {

constexpr bool same(int number, LostReason reason) {
    return number == static_cast<int>(reason);
}
constexpr bool same(int number, PdStatus status) {
    return number == static_cast<int>(status);
}
static_assert(
    same(FASTRPC_LOST_UNKNOWN, LostReason::unknown) && same(FASTRPC_LOST_DSP_RESTART, LostReason::dsp_restart) &&
    same(FASTRPC_LOST_PD_EXCEPTION, LostReason::pd_exception) && same(FASTRPC_LOST_PD_EXIT, LostReason::pd_exit) &&
    same(FASTRPC_LOST_TIMEOUT, LostReason::timeout) && same(FASTRPC_LOST_TERMINATED, LostReason::terminated) &&
    same(FASTRPC_LOST_POLICY_CHANGED, LostReason::policy_changed) &&
    same(FASTRPC_LOST_RECLAIMED, LostReason::reclaimed) && same(FASTRPC_LOST_PROTOCOL, LostReason::protocol) &&
    same(FASTRPC_LOST_HOST_STOPPED, LostReason::host_stopped) && last_lost_reason == LostReason::host_stopped);
static_assert(same(FASTRPC_PD_UP, PdStatus::up) && same(FASTRPC_PD_EXIT, PdStatus::exit) &&
              same(FASTRPC_PD_FORCE_KILL, PdStatus::force_kill) && same(FASTRPC_PD_EXCEPTION, PdStatus::exception) &&
              same(FASTRPC_PD_DSP_RESTART, PdStatus::dsp_restart));
static_assert(sizeof(fastrpc_event) == 24 + sizeof(fastrpc_event::text) && offsetof(fastrpc_event, generation) == 16,
              "one layout for 32-bit and 64-bit programs");

} // namespace

int fastrpc_session_events(fastrpc_session* session, int* fd, fastrpc_error* error) {
    if (session == nullptr || fd == nullptr) return missing(error, "session or fd");
    *fd = -1;
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        const auto socket = core.events().fd();
        if (!socket) return report_call(core, error, socket.error());
        *fd = *socket;
        return succeed(error);
    });
}

int fastrpc_session_next_event(fastrpc_session* session, int timeout_ms, fastrpc_event* event, fastrpc_error* error) {
    if (session == nullptr || event == nullptr) return missing(error, "session or event");
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        const auto told = core.events().next(timeout_ms, *event);
        if (!told) return report_error(error, told.error());
        if (*told) return succeed(error);
        return report(error, {FASTRPC_EEXPIRED, "timeout", fmt::format("no event came within {} ms", timeout_ms)});
    });
}

int fastrpc_session_lost_reason(fastrpc_session* session) {
    if (session == nullptr || session->core->forked()) return -1;
    return guarded(nullptr, [&] {
        Session& core = *session->core;
        // Nobody reads the host's word before it is asked for.
        if (core.lost_reason() < 0) (void)core.lost_within(0);
        return core.lost_reason();
    });
}

int fastrpc_serve(fastrpc_session* session, const char* name, fastrpc_handler handler, void* context,
                  fastrpc_service** service, fastrpc_error* error) {
    if (session == nullptr || name == nullptr || handler == nullptr || service == nullptr)
        return missing(error, "session, name, handler or service");
    *service = nullptr;
    return guarded(error, [&] {
        Session& core = *session->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        const std::string_view text(name);
        if (text.empty() || text.size() >= max_interface_name)
            return report(error, {FASTRPC_EBADPARM, "invalid",
                                  fmt::format("the name of an interface has 1 to {} bytes, this one {}",
                                              max_interface_name - 1, text.size())});
        auto handle = std::make_unique<fastrpc_service>();
        auto served = core.serve(text, handler, context);
        if (!served) return report_call(core, error, std::move(served.error()));
        handle->core = session->core;
        handle->service = std::move(*served);
        *service = handle.release();
        return succeed(error);
    });
}

int fastrpc_serve_stop(fastrpc_service* service) {
    if (service == nullptr) return 0;
    // In the child of a fork the service's thread does not exist, and what it waits in must not be destroyed.
    if (service->core->forked()) return FASTRPC_EBADSTATE;
    if (service->service->serving()) return FASTRPC_EBADSTATE;
    const int why = service->service->finish();
    service->core->forget(service->service);
    delete service;
    return why;
}
