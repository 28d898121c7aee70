// org.fastrpc1.Session. Objects are only found by those who may see them (BusObjects::session_at), so a method that is
// reached at all may tell; what changes something asks who calls.
#include "broker/limit_list.hpp"
#include "broker/object_tables.hpp"

namespace fastrpc::broker {
namespace {

template<auto Read>
constexpr auto of = get<Session, Read>;

int get_domain(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
               sd_bus_error*) noexcept {
    const std::string path = path_of(DomainEntry{.domain = static_cast<Session*>(data)->about.domain});
    return ::sd_bus_message_append_basic(reply, SD_BUS_TYPE_OBJECT_PATH, path.c_str());
}

int get_limits(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
               sd_bus_error*) noexcept {
    const Limits& limits = static_cast<Session*>(data)->about.grant.limits;
    int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "{st}");
    each_limit(limits, [&](const char* name, std::uint64_t value) {
        if (step >= 0) step = ::sd_bus_message_append(reply, "{st}", name, value);
    });
    return step < 0 ? step : ::sd_bus_message_close_container(reply);
}

int get_usage(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    return answer_usage(call, *static_cast<Session*>(data)->link);
}

int get_files(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    return answer_files(call, *static_cast<Session*>(data)->link);
}

int close_session(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    if (const Status asked = objects_of(call).close(*static_cast<Session*>(data), call); !asked)
        return reply_error(call, asked.error());
    return ::sd_bus_reply_method_return(call, nullptr);
}

constexpr std::uint64_t fixed = SD_BUS_VTABLE_PROPERTY_CONST;
constexpr std::uint64_t changes = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
constexpr std::uint64_t unlisted = SD_BUS_VTABLE_PROPERTY_CONST | SD_BUS_VTABLE_PROPERTY_EXPLICIT;

} // namespace

// clang-format off
const sd_bus_vtable session_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Domain", "o", get_domain, 0, fixed),
    SD_BUS_PROPERTY("Pd", "s", of<[](const Session& s) { return to_string(s.about.kind); }>, 0, fixed),
    SD_BUS_PROPERTY("State", "s", of<[](const Session& s) { return s.state(); }>, 0, changes),
    SD_BUS_PROPERTY("Generation", "t", of<[](const Session& s) { return s.about.generation; }>, 0, changes),
    SD_BUS_PROPERTY("OwnerUid", "u", of<[](const Session& s) { return s.about.owner_uid; }>, 0, fixed),
    SD_BUS_PROPERTY("OwnerName", "s", of<[](const Session& s) { return s.owner_name; }>, 0, fixed),
    SD_BUS_PROPERTY("Label", "s", of<[](const Session& s) { return s.about.label; }>, 0, unlisted),
    SD_BUS_PROPERTY("OpenedUSec", "t", of<[](const Session& s) { return s.about.opened_us; }>, 0, fixed),
    SD_BUS_PROPERTY("Pid", "u", of<[](const Session& s) { return s.about.pid; }>, 0, fixed),
    SD_BUS_PROPERTY("HostVersion", "s", of<[](const Session& s) { return s.about.program; }>, 0, fixed),
    SD_BUS_PROPERTY("Rule", "s", of<[](const Session& s) { return s.about.grant.rule; }>, 0, fixed),
    SD_BUS_PROPERTY("PolicyRevision", "t", of<[](const Session& s) { return s.about.grant.revision; }>, 0, fixed),
    SD_BUS_PROPERTY("Limits", "a{st}", get_limits, 0, fixed),
    SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, close_session, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", usage), get_usage, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetFiles", SD_BUS_ARGS("t", since), SD_BUS_RESULT("a(tsassttttt)", reports, "b", more), get_files, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("s", reason, "t", generation), 0),
    SD_BUS_VTABLE_END};
// clang-format on

} // namespace fastrpc::broker
