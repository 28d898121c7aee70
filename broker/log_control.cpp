#include "broker/log_control.hpp"

#include "base/log.hpp"

#include <cerrno>

namespace fastrpc::broker {
namespace {

// The interface asks for names of syslog, of which there are more than levels here.
struct LevelName {
    const char* name;
    log::Level level;
};
constexpr LevelName level_names[] = {{"debug", log::Level::debug},    {"info", log::Level::info},
                                     {"notice", log::Level::warning}, {"warning", log::Level::warning},
                                     {"err", log::Level::error},      {"crit", log::Level::critical},
                                     {"alert", log::Level::critical}, {"emerg", log::Level::critical}};

const char* name_of(log::Level level) {
    // "warning" comes behind a name of the same level, which nobody is told.
    const char* found = "warning";
    if (level == log::Level::warning) return found;
    for (const LevelName& each : level_names)
        if (each.level == level) return each.name;
    return found;
}

int refuse(sd_bus_error* error, const char* name, const char* text) {
    return ::sd_bus_error_set(error, name, text);
}

} // namespace

// clang-format off
const sd_bus_vtable LogControl::table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_WRITABLE_PROPERTY("LogLevel", "s",
        [](sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) noexcept {
            return ::sd_bus_message_append(reply, "s", name_of(log::least()));
        },
        [](sd_bus* bus, const char*, const char*, const char*, sd_bus_message* value, void* data,
           sd_bus_error* error) noexcept {
            const Status allowed = static_cast<LogControl*>(data)->allowed(::sd_bus_get_current_message(bus));
            if (!allowed) return refuse(error, SD_BUS_ERROR_ACCESS_DENIED, allowed.error().text.c_str());
            const char* wanted = nullptr;
            if (const int read = ::sd_bus_message_read(value, "s", &wanted); read < 0) return read;
            for (const LevelName& each : level_names)
                if (std::string_view(each.name) == wanted) {
                    log::set_least(each.level);
                    return 0;
                }
            return refuse(error, SD_BUS_ERROR_INVALID_ARGS, "levels are debug, info, notice, warning, err, crit, alert, emerg");
        }, 0, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("LogTarget", "s",
        [](sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) noexcept {
            return ::sd_bus_message_append(reply, "s", log::to_journal() ? "journal" : "console");
        }, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("SyslogIdentifier", "s",
        [](sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) noexcept {
            return ::sd_bus_message_append(reply, "s", "fastrpcd");
        }, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};
// clang-format on

Status LogControl::publish(sd_bus* bus) {
    const int added = ::sd_bus_add_object_vtable(bus, out(slot_), "/org/freedesktop/LogControl1",
                                                 "org.freedesktop.LogControl1", table, this);
    if (added < 0) return fail_errno("publishing LogControl1", -added);
    return {};
}

Status LogControl::allowed(sd_bus_message* call) const {
    const char* sender = call == nullptr ? nullptr : ::sd_bus_message_get_sender(call);
    const Subject* caller = sender == nullptr ? nullptr : identities_.find(sender);
    if (caller != nullptr && caller->uid == 0) return {};
    return fail(ErrorKind::denied, "only root may change what fastrpcd logs", EACCES);
}

} // namespace fastrpc::broker
