// What happens on the bus, one line per event.
//
// Each line of --json is an object; the keys are stable. All have "time-usec" (CLOCK_REALTIME, at the receiver),
// "event", "path" and "object" (the path without the common part, e.g. "domain/cdsp/pd/root" or "session/s42").
//
//   object-added       "interfaces": [names without org.fastrpc1.], "state" when it has one
//   object-removed     "interfaces"
//   state              "before" (null when it was not known), "now", "reason" (of a PD)
//   generation         "before", "now", "reason"
//   fastrpcd-started, fastrpcd-stopped    path and object are empty
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"

#include <map>

namespace fastrpc::ctl {

/// Turns signals into the events above. Remembers the state of every object, so that a change of something else is
/// none.
class Monitor {
public:
    /// The events that follow from this signal, without a time.
    std::vector<json> hear(const BusEvent& event);

private:
    void learn(const std::string& path, const json& interfaces);
    json added(const std::string& path, const json& interfaces);
    void changed(const std::string& path, const json& properties, std::vector<json>& events);
    std::map<std::string, std::string> states_;
};

/// One line for people: time of day, object, what happened.
std::string event_text(const json& event, const Style& style);

} // namespace fastrpc::ctl
