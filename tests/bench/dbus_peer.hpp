// What the D-Bus contender and its service agree on.
//
// A service that a client of each has to itself: a name, a connection and a thread, so that no call waits for another's
// and no thread of the service hands a call to a second one. It is the best that D-Bus can do; most services have one
// thread.
//
//   Call(b registered, ay input) -> (i result, ay output)
#pragma once

#include <memory>
#include <string>
#include <systemd/sd-bus.h>

namespace fastrpc::bench {

inline constexpr unsigned dbus_services = 32;
inline constexpr const char* dbus_object = "/bench";
inline constexpr const char* dbus_interface = "bench.Echo";

inline std::string dbus_service(unsigned number) {
    return "bench.Echo" + std::to_string(number);
}

struct CloseBus {
    void operator()(sd_bus* bus) const noexcept { sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

/// A connection of its own to the bus at `address`; null when there is none.
inline Bus connect_bus(const std::string& address) {
    sd_bus* raw = nullptr;
    if (sd_bus_new(&raw) < 0) return {};
    Bus bus(raw);
    if (sd_bus_set_address(bus.get(), address.c_str()) < 0 || sd_bus_set_bus_client(bus.get(), 1) < 0 ||
        sd_bus_start(bus.get()) < 0)
        return {};
    return bus;
}

} // namespace fastrpc::bench
