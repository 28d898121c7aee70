// What the tables of D-Bus objects share: a property read from a C++ object by a getter that is made from a function at
// compile time, and methods that ask a host.
#pragma once

#include "broker/bus_reply.hpp"
#include "broker/objects.hpp"

#include <functional>

namespace fastrpc::broker {

/// An sd-bus property getter that appends Read(object).
template<class Object, auto Read>
int get(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* object, sd_bus_error*) noexcept {
    return append(reply, std::invoke(Read, *static_cast<const Object*>(object)));
}

/// sd-bus hands a method the object that it was called on; behind the slot of its table are all of them.
inline BusObjects& objects_of(sd_bus_message* call) {
    sd_bus_slot* slot = ::sd_bus_get_current_slot(::sd_bus_message_get_bus(call));
    return *static_cast<BusObjects*>(::sd_bus_slot_get_userdata(slot));
}

/// GetUsage and GetFiles of whatever has a host: answer `call` when the host has answered.
int answer_usage(sd_bus_message* call, HostLink& link);
int answer_files(sd_bus_message* call, HostLink& link);

/// The vtables of objects.cpp.
extern const sd_bus_vtable domain_table[];
extern const sd_bus_vtable pd_table[];
extern const sd_bus_vtable session_table[];

} // namespace fastrpc::broker
