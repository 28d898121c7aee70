// One life of a static PD: open, attach, serve, end. On threads of its own, because each step may wait for the DSP.
#pragma once

#include "daemon/host/ender.hpp"
#include "daemon/host/environment.hpp"
#include "daemon/host/pd_definition.hpp"
#include "daemon/reverse/reverse_stats.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace fastrpc::daemon {

/// What a static PD is given, for the life of its host.
struct StaticSetup {
    PdDefinition definition;
    std::unique_ptr<Overlay> state; ///< what the PD may write; null when that is nothing
};

class StaticRun {
public:
    enum class Phase {
        attaching,
        running,
        no_node,   ///< ended: nothing to attach to, or nothing that has this PD
        ended,     ///< ended: worth another try
        permanent, ///< ended: this machine is not set up for this PD; trying again changes nothing
    };
    struct State {
        Phase phase = Phase::attaching;
        std::string node;                ///< once it is open
        std::string reason;              ///< for people
        Facts facts;                     ///< of the node, as long as it is open
        bool worth_asking_again = false; ///< of no_node: no news will come when it becomes usable
        bool lacks_privilege = false;    ///< the kernel wants CAP_SYS_ADMIN for the init (KERNEL 2.6)
        [[nodiscard]] bool over() const noexcept { return phase > Phase::running; }
    };

    /// Starts at once. `privileged`: the thread inherits a privilege for the init and drops it afterwards. `changed` is
    /// called on its threads after each change of state() and must be thread-safe.
    StaticRun(const StaticSetup& setup, const HostEnvironment& environment, ReverseStats& stats, bool privileged,
              std::function<void()> changed);
    /// Waits for the threads: only when state() is over, or after a stop_by() that succeeded.
    ~StaticRun();
    StaticRun(const StaticRun&) = delete;
    StaticRun& operator=(const StaticRun&) = delete;

    [[nodiscard]] State state() const;
    /// Asks the DSP to end our PD and waits until `limit`; false when it did not end.
    bool stop_by(std::chrono::steady_clock::time_point limit);
    /// The node is gone: a round of Device::interrupt_waiters().
    bool interrupt();
    /// Contexts that the DSP loses if the process ends now.
    [[nodiscard]] std::uint32_t lost_contexts();

private:
    void run();
    State live();
    State serve(Device& device);
    void set(State state);

    const StaticSetup& setup_;
    Domain domain_ = setup_.definition.domain;
    PdKind kind_ = setup_.definition.kind;
    const HostEnvironment& environment_;
    ReverseStats& stats_;
    bool privileged_;
    std::function<void()> changed_;
    mutable std::mutex mutex_;
    std::condition_variable moved_;
    State state_;
    std::unique_ptr<Device> device_;
    bool up_ = false; ///< the listener serves on device_
    std::unique_ptr<Ender> ender_;
    std::thread thread_;
};

} // namespace fastrpc::daemon
