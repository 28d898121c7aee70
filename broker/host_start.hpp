// Starting one session host: take one (ready_hosts.hpp), send it the grant with its end of the session socket, and wait
// until its PD runs.
//
// Whoever asked may lose interest at any time. The host is then told to end, and this object stays, with its charges,
// until the host is really gone: a client that opens and leaves in a loop pays for every host that it caused.
#pragma once

#include "broker/host_link.hpp"
#include "broker/module_hashes.hpp"
#include "broker/quotas.hpp"
#include "broker/ready_hosts.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fastrpc::broker {

struct HostOrder {
    ReadyHosts& hosts; ///< outlives the start
    StartMessage message;
    std::shared_ptr<const std::vector<UniqueFd>> directories; ///< of the client; none sends none
    std::shared_ptr<const std::vector<ModuleFile>> modules;   ///< as directories; `message` names them
    SessionCharges charges;
    std::vector<Charge> open_charges; ///< held until the opening is over
};

struct StartedHost {
    std::unique_ptr<HostLink> link;
    Description about;
    UniqueFd client; ///< the client's end of the session socket
    SessionCharges charges;
};

class HostStart {
public:
    struct Events {
        /// Called exactly once, unless abandoned before: the host is ready, or why not.
        std::function<void(Result<StartedHost>)> done;
        /// Called once, last: nothing is left of it and this object may be destroyed, in this call too.
        std::function<void()> over;
    };
    static constexpr std::chrono::seconds ready_timeout{30};
    static constexpr std::chrono::seconds drain_timeout{30};

    HostStart(sd_event* loop, HostOrder order, Events events, std::chrono::milliseconds timeout = ready_timeout);
    HostStart(const HostStart&) = delete;
    HostStart& operator=(const HostStart&) = delete;

    /// Nobody waits any more: `done` will not be called, `over` will.
    void abandon(std::string_view reason);
    /// `done` was called, or never will be.
    [[nodiscard]] bool answered() const noexcept { return answered_; }
    /// In `done`, of a host that is gone: what was charged, for the next try.
    SessionCharges take_charges() noexcept { return std::move(order_.charges); }

private:
    void connect(bool anew);
    Status send(UniqueFd socket);
    void on_message(HostMessage message);
    void on_ready(Description about);
    void fail_with(Error error);
    void answer(Result<StartedHost> result);
    void drain(std::string_view reason);
    void finish();

    sd_event* loop_;
    HostOrder order_;
    Events events_;
    std::unique_ptr<HostLink> link_;
    UniqueFd client_;
    bool answered_ = false;
    bool may_be_gone_ = false; ///< it had waited: it may have died before it read its order
    Source deadline_;
    Source retry_;
};

} // namespace fastrpc::broker
