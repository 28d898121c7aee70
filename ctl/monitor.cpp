#include "ctl/monitor.hpp"

#include "ctl/table.hpp"

#include <ctime>
#include <fmt/chrono.h>
#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

const std::string root = "/org/fastrpc1/";
const std::string prefix = "org.fastrpc1.";

json event_of(const char* name, const std::string& path) {
    return {{"event", name}, {"path", path}, {"object", path.starts_with(root) ? path.substr(root.size()) : ""}};
}

// Names of our own interfaces among `names`; the standard ones are everywhere.
json own(const std::vector<std::string>& names) {
    json result = json::array();
    for (const std::string& name : names)
        if (name.starts_with(prefix)) result.push_back(name.substr(prefix.size()));
    return result;
}

std::string text_of(const json& value) {
    return value.is_string() ? printable(value.get<std::string>()) : value.dump();
}

std::string time_of_day(std::uint64_t usec) {
    const auto seconds = static_cast<std::time_t>(usec / 1'000'000);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    return fmt::format("{:%H:%M:%S}.{:03}", local, usec / 1000 % 1000);
}

} // namespace

void Monitor::learn(const std::string& path, const json& interfaces) {
    for (const auto& [name, properties] : interfaces.items())
        if (name.starts_with(prefix) && properties.contains("State")) states_[path] = properties["State"];
}

json Monitor::added(const std::string& path, const json& interfaces) {
    learn(path, interfaces);
    std::vector<std::string> names;
    for (const auto& [name, properties] : interfaces.items()) names.push_back(name);
    json event = event_of("object-added", path);
    event["interfaces"] = own(names);
    if (const auto state = states_.find(path); state != states_.end()) event["state"] = state->second;
    return event;
}

void Monitor::changed(const std::string& path, const json& properties, std::vector<json>& events) {
    if (!properties.contains("State")) return;
    const std::string now = properties["State"];
    const auto known = states_.find(path);
    if (known != states_.end() && known->second == now) return;
    json event = event_of("state", path);
    event["before"] = known == states_.end() ? json() : json(known->second);
    event["now"] = now;
    if (properties.contains("Reason")) event["reason"] = properties["Reason"];
    states_[path] = now;
    events.push_back(std::move(event));
}

std::vector<json> Monitor::hear(const BusEvent& event) {
    const json& arguments = event.arguments;
    std::vector<json> events;
    if (event.member == "GetManagedObjects" && arguments.size() == 1) {
        for (const auto& [path, interfaces] : arguments[0].items()) learn(path, interfaces);
    } else if (event.member == "InterfacesAdded" && arguments.size() == 2) {
        events.push_back(added(arguments[0], arguments[1]));
    } else if (event.member == "InterfacesRemoved" && arguments.size() == 2) {
        json removed = event_of("object-removed", arguments[0]);
        removed["interfaces"] = own(arguments[1]);
        states_.erase(arguments[0].get<std::string>());
        events.push_back(std::move(removed));
    } else if (event.member == "PropertiesChanged" && arguments.size() == 3) {
        changed(event.path, arguments[1], events);
    } else if (event.member == "GenerationChanged" && arguments.size() == 3) {
        json generation = event_of("generation", event.path);
        generation.update({{"before", arguments[0]}, {"now", arguments[1]}, {"reason", arguments[2]}});
        events.push_back(std::move(generation));
    } else if (event.member == "NameOwnerChanged" && arguments.size() == 3) {
        if (arguments[2] == "") states_.clear();
        events.push_back(event_of(arguments[2] == "" ? "fastrpcd-stopped" : "fastrpcd-started", ""));
    }
    return events;
}

std::string event_text(const json& event, const Style& style) {
    const std::string name = event.value("event", "");
    std::string text = time_of_day(event.value("time-usec", std::uint64_t{0}));
    if (const std::string object = event.value("object", ""); !object.empty()) text += "  " + printable(object);
    if (name == "state" || name == "generation") {
        text += fmt::format("  {} {} > {}", name, event["before"].is_null() ? "?" : text_of(event["before"]),
                            paint(text_of(event["now"]), style));
        if (const std::string reason = event.value("reason", ""); !reason.empty()) text += ": " + printable(reason);
    } else {
        text += "  " + name;
        if (event.contains("state")) text += fmt::format(" ({})", text_of(event["state"]));
    }
    return text + '\n';
}

} // namespace fastrpc::ctl
