// `show`: all that is known of one object, as KEY=VALUE lines for scripts.
//
// Keys are the names of the D-Bus properties, those of what a method tells ("p50-us" of GetUsage) in the same form
// ("P50Us"). They are stable: more may come, none goes. Values: yes or no, numbers, text; a list has spaces between
// its entries, a dictionary is a list of key=value.
#pragma once

#include "ctl/bus_client.hpp"

namespace fastrpc::ctl {

enum class ObjectKind { daemon, domain, pd, session };

struct Object {
    ObjectKind kind = ObjectKind::daemon;
    std::string path;
};

/// What somebody names: nothing (fastrpcd), "cdsp", "adsp/audio" (or "adsp audio"), the id of a session, or a path of
/// D-Bus. ErrorKind::not_found says what there is.
Result<Object> find_object(BusClient& client, const std::vector<std::string>& words);

/// {KEY: value}. What a host does not answer is left out.
Result<json> show_object(BusClient& client, const Object& object);
/// Only the keys `wanted`, in their order; none wanted: all. A key that the object has not got is left out. With `bare`
/// the values alone.
std::string show_text(const json& properties, const std::vector<std::string>& wanted, bool bare);

} // namespace fastrpc::ctl
