// org.fastrpc1.Manager: who has sessions and who waits for one, and ending those of others.
#include "broker/accounts.hpp"
#include "broker/bus_names.hpp"
#include "broker/bus_reply.hpp"
#include "broker/manager.hpp"
#include "broker/objects.hpp"

#include <fmt/core.h>
#include <optional>

namespace fastrpc::broker {
namespace {

int append_sessions(sd_bus_message* reply, const Registry& registry, std::optional<std::uint32_t> owner) {
    int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(osus)");
    for (const auto& [id, session] : registry.sessions()) {
        if (owner && *owner != session.about.owner_uid) continue;
        const std::string domain(to_string(session.about.domain));
        const std::string state(session.state());
        if (step >= 0)
            step = ::sd_bus_message_append(reply, "(osus)", path_of(session).c_str(), domain.c_str(),
                                           session.about.owner_uid, state.c_str());
    }
    return step < 0 ? step : ::sd_bus_message_close_container(reply);
}

Session* session_at(Registry& registry, std::string_view path) {
    const std::string prefix = std::string(names::sessions) + '/';
    return path.starts_with(prefix) ? registry.find_session(path.substr(prefix.size())) : nullptr;
}

} // namespace

int Manager::list_sessions(sd_bus_message* call, const Subject& caller) {
    return reply_with(call, [&](sd_bus_message* reply) {
        return append_sessions(reply, parts_.registry,
                               parts_.identities.sees_all(caller.uid) ? std::nullopt : std::optional(caller.uid));
    });
}

int Manager::list_all_sessions(sd_bus_message* call, const Subject& caller) {
    parts_.authority.guard(
        call, caller, action::inspect, "list the sessions of all users", {}, [this](sd_bus_message* admitted) {
            reply_with(admitted,
                       [&](sd_bus_message* reply) { return append_sessions(reply, parts_.registry, std::nullopt); });
        });
    return 1;
}

// Whether there is such a session is only for those to know who may end it.
int Manager::terminate_session(sd_bus_message* call, const Subject& caller) {
    const char* path = nullptr;
    if (const int step = ::sd_bus_message_read(call, "o", &path); step < 0) return step;
    const auto end = [this, by = caller.uid, path = std::string(path)](sd_bus_message* admitted) {
        Session* session = session_at(parts_.registry, path);
        const Status ended = session != nullptr ? parts_.registry.close(*session, by)
                                                : fail(ErrorKind::invalid, fmt::format("there is no session {}", path));
        if (ended)
            ::sd_bus_reply_method_return(admitted, nullptr);
        else
            reply_error(admitted, ended.error());
    };
    const Session* session = session_at(parts_.registry, path);
    if (session != nullptr && session->about.owner_uid == caller.uid) {
        end(call);
        return 1;
    }
    Authority::Details details;
    if (session != nullptr)
        details = {{"domain", std::string(to_string(session->about.domain))}, {"owner", session->owner_name}};
    parts_.authority.guard(call, caller, action::manage_sessions, "end the sessions of others", details, end);
    return 1;
}

int Manager::list_queue(sd_bus_message* call, const Subject& caller) {
    return reply_with(call, [&](sd_bus_message* reply) {
        int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(sustu)");
        for (const Openings::Place& place : openings_.places()) {
            if (!parts_.identities.sees_all(caller.uid) && caller.uid != place.uid) continue;
            const std::string domain(to_string(place.domain)), name = user_name(place.uid);
            if (step >= 0)
                step = ::sd_bus_message_append(reply, "(sustu)", domain.c_str(), place.uid, name.c_str(),
                                               static_cast<std::uint64_t>(place.waited.count()),
                                               static_cast<std::uint32_t>(place.position));
        }
        return step < 0 ? step : ::sd_bus_message_close_container(reply);
    });
}

} // namespace fastrpc::broker
