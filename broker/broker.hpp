// fastrpcd put together: one event loop, one bus connection, and the parts in the order in which they need each other.
#pragma once

#include "broker/audit.hpp"
#include "broker/authority.hpp"
#include "broker/control_listener.hpp"
#include "broker/devices.hpp"
#include "broker/identities.hpp"
#include "broker/log_control.hpp"
#include "broker/manager.hpp"
#include "broker/objects.hpp"
#include "broker/policy_keeper.hpp"
#include "broker/ready_hosts.hpp"
#include "broker/registry.hpp"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace fastrpc::broker {

struct BrokerOptions {
    std::vector<std::string> policy_directories; ///< for reloads
    std::string session_socket;
    std::size_t ready_hosts = 1;       ///< kept waiting for sessions
    std::set<std::uint32_t> host_uids; ///< users that hosts run as
    std::set<std::uint32_t> observers; ///< users that may see what root sees
    discovery::Roots roots;            ///< where devices, sysfs and the device tree are looked up
};

class Broker {
public:
    /// Publishes everything; `control` listens. The loop, the bus and this object end in the opposite order.
    static Result<std::unique_ptr<Broker>> start(sd_event* loop, sd_bus* bus, Policy policy, UniqueFd control,
                                                 BrokerOptions options);
    /// Without an answer to anybody; the log says how it went.
    void reload_policy() { policy_->reload({}); }
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

private:
    Broker(sd_event* loop, sd_bus* bus, std::unique_ptr<PolicyKeeper> policy, std::unique_ptr<ModuleHashes> hashes,
           const BrokerOptions& options);
    Status publish();
    /// The gate that every call passes first: a call whose sender is not known yet waits here, without blocking
    /// anything, and is then dispatched as if it came just now. So handlers never wait for an identity.
    int gate(sd_bus_message* call);

    sd_bus* bus_;
    std::unique_ptr<PolicyKeeper> policy_;
    std::unique_ptr<ModuleHashes> hashes_;
    AuditLog audit_;
    Quotas quotas_;
    Identities identities_;
    Authority authority_;
    LogControl log_;
    BusObjects objects_;
    Registry registry_;
    ReadyHosts hosts_;
    Manager manager_;
    std::unique_ptr<Devices> devices_;
    std::unique_ptr<ControlListener> listener_;
    Slot gate_;
};

} // namespace fastrpc::broker
