// org.fastrpc1.ProtectionDomain: everybody may look, root may start and stop.
#include "broker/accounts.hpp"
#include "broker/object_tables.hpp"

#include <fmt/core.h>
#include <string>

namespace fastrpc::broker {
namespace {

template<auto Read>
constexpr auto of = get<ProtectionDomain, Read>;
template<auto Member>
constexpr auto counted = get<ProtectionDomain, [](const ProtectionDomain& pd) {
    return pd.link ? pd.link->counters().*Member : std::remove_cvref_t<decltype(Counters{}.*Member)>{};
}>;

// The unit that systemd runs the host as (systemd/fastrpc-pd@.service).
std::string unit_of(const ProtectionDomain& pd) {
    return fmt::format("fastrpc-pd@{}-{}.service", to_string(pd.about.domain), to_string(pd.about.kind));
}

Error host_is_away(const ProtectionDomain& pd) {
    return {ErrorKind::offline, 0,
            fmt::format("the host of this PD is away: {}; start it with: systemctl start {}", pd.about.reason,
                        unit_of(pd))};
}

int get_usage(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    const auto& pd = *static_cast<ProtectionDomain*>(data);
    return pd.link ? answer_usage(call, *pd.link) : reply_error(call, host_is_away(pd));
}

int get_files(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    const auto& pd = *static_cast<ProtectionDomain*>(data);
    return pd.link ? answer_files(call, *pd.link) : reply_error(call, host_is_away(pd));
}

void carry_out(sd_bus_message* call, const Subject& caller, PdAction action, ProtectionDomain& pd) {
    if (!pd.link) {
        reply_error(call, host_is_away(pd));
        return;
    }
    const std::string by = fmt::format("uid {} ({})", caller.uid, user_name(caller.uid));
    pd.link->command({action, by}, [held = MessageRef(call)](const Status& accepted) {
        if (!accepted)
            reply_error(held.get(), accepted.error());
        else
            ::sd_bus_reply_method_return(held.get(), nullptr);
    });
}

// A static PD serves the whole machine, and once known it stays in the registry.
template<PdAction Action>
int command(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    auto& pd = *static_cast<ProtectionDomain*>(data);
    const BusObjects& objects = objects_of(call);
    const Subject* caller = objects.caller(call);
    if (caller == nullptr) return reply_error(call, {ErrorKind::denied, 0, "fastrpcd does not know who you are"});
    const std::string domain(to_string(pd.about.domain)), kind(to_string(pd.about.kind));
    const std::string what = fmt::format("{} the {} PD of {}", to_string(Action), kind, domain);
    objects.authority().guard(
        call, *caller, action::manage_pds, what,
        {{"domain", domain}, {"pd", kind}, {"verb", std::string(to_string(Action))}},
        [&pd, caller = *caller](sd_bus_message* admitted) { carry_out(admitted, caller, Action, pd); });
    return 1;
}

constexpr std::uint64_t fixed = SD_BUS_VTABLE_PROPERTY_CONST;
constexpr std::uint64_t changes = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;

} // namespace

// clang-format off
const sd_bus_vtable pd_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Kind", "s", of<[](const ProtectionDomain& p) { return to_string(p.about.kind); }>, 0, fixed),
    SD_BUS_PROPERTY("Static", "b", of<[](const ProtectionDomain& p) { return is_static(p.about.kind); }>, 0, fixed),
    SD_BUS_PROPERTY("State", "s", of<[](const ProtectionDomain& p) { return to_string(p.about.state); }>, 0, changes),
    SD_BUS_PROPERTY("Reason", "s", of<[](const ProtectionDomain& p) { return p.about.reason; }>, 0, changes),
    SD_BUS_PROPERTY("Generation", "t", of<[](const ProtectionDomain& p) { return p.about.generation; }>, 0, changes),
    SD_BUS_PROPERTY("Restarts", "u", of<[](const ProtectionDomain& p) { return p.about.restarts; }>, 0, changes),
    SD_BUS_PROPERTY("Pid", "u", of<[](const ProtectionDomain& p) { return p.about.pid; }>, 0, changes),
    SD_BUS_PROPERTY("HostVersion", "s", of<[](const ProtectionDomain& p) { return p.about.program; }>, 0, changes),
    SD_BUS_PROPERTY("Node", "s", of<[](const ProtectionDomain& p) { return p.about.node; }>, 0, changes),
    SD_BUS_PROPERTY("OpenedUSec", "t", of<[](const ProtectionDomain& p) { return p.about.opened_us; }>, 0, changes),
    SD_BUS_PROPERTY("Unit", "s", of<unit_of>, 0, fixed),
    SD_BUS_PROPERTY("FilesServed", "t", counted<&Counters::files_served>, 0, changes),
    SD_BUS_PROPERTY("BytesServed", "t", counted<&Counters::bytes_served>, 0, changes),
    SD_BUS_PROPERTY("FilesMissing", "t", counted<&Counters::files_missing>, 0, changes),
    SD_BUS_PROPERTY("LastFileFailed", "s", counted<&Counters::last_missing>, 0, changes),
    SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, command<PdAction::start>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, command<PdAction::stop>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Restart", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, command<PdAction::restart>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", usage), get_usage, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetFiles", SD_BUS_ARGS("t", since), SD_BUS_RESULT("a(tsassttttt)", reports, "b", more), get_files, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END};
// clang-format on

} // namespace fastrpc::broker
