// org.freedesktop.LogControl1, the bus's own interface for it: `systemctl service-log-level fastrpcd debug` changes
// what fastrpcd logs from now on, until it is started anew.
#pragma once

#include "base/result.hpp"
#include "broker/identities.hpp"

namespace fastrpc::broker {

class LogControl {
public:
    /// `identities` knows who calls by the time that a call arrives, and outlives this.
    explicit LogControl(const Identities& identities) : identities_(identities) {}
    LogControl(const LogControl&) = delete;
    LogControl& operator=(const LogControl&) = delete;
    Status publish(sd_bus* bus);

private:
    /// The answer to a sender who is not root.
    Status allowed(sd_bus_message* call) const;
    static const sd_bus_vtable table[];

    const Identities& identities_;
    Slot slot_;
};

} // namespace fastrpc::broker
