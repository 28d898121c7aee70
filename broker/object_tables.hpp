// How a property of a D-Bus object is read from a C++ object: a getter made from a function at compile time.
#pragma once

#include "broker/bus_reply.hpp"

#include <functional>

namespace fastrpc::broker {

/// An sd-bus property getter that appends Read(object).
template<class Object, auto Read>
int get(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* object, sd_bus_error*) noexcept {
    return append(reply, std::invoke(Read, *static_cast<const Object*>(object)));
}

/// The vtables of objects.cpp.
extern const sd_bus_vtable domain_table[];
extern const sd_bus_vtable pd_table[];
extern const sd_bus_vtable session_table[];

} // namespace fastrpc::broker
