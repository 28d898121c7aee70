// Sessions on their way: admitted, waiting for a DSP, or with a host that is starting.
//
// A request is charged for what its uid may have in all and then takes its turn (admission.hpp). When its DSP has room
// a host is started for it. What is refused is refused before anything was started; what a full DSP refuses takes its
// turn again while it has time.
#pragma once

#include "broker/admission.hpp"
#include "broker/host_start.hpp"
#include "broker/reclaimer.hpp"
#include "broker/registry.hpp"
#include "broker/uid_rate.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fastrpc::broker {

class Openings {
public:
    using Time = AdmissionQueue::Time;

    struct Order {
        std::string sender;   ///< bus name; what it asked for goes with it
        StartMessage message; ///< the session's number and time come with its start
        std::vector<UniqueFd> directories;
        std::shared_ptr<const std::vector<ModuleFile>> modules; ///< files that `message` names
        std::chrono::milliseconds wait{0};                      ///< for a full DSP
        /// What the policy in force grants now, or why it does not; none: what was granted stays granted.
        std::function<Result<Grant>()> decide_again;
        /// Called once, maybe at once, unless the sender leaves before: the host is ready, or why not.
        std::function<void(Result<StartedHost>)> done;
    };

    Openings(sd_event* loop, Quotas& quotas, Registry& registry, ReadyHosts& hosts);
    ~Openings();
    Openings(const Openings&) = delete;
    Openings& operator=(const Openings&) = delete;

    /// Before anything else of a request: whether its uid asks too often, which is ErrorKind::busy. Root never does.
    Status count(std::uint32_t uid, const Limits& limits);
    void open(Order order);
    void forget(const std::string& sender);
    /// A new policy is in force. Who waits gets its grant or its refusal now. A host that is starting was granted
    /// before, as one that runs: it stays, unless `end_denied` and the policy denies it.
    void policy_changed(bool end_denied);

    struct Place {
        Domain domain = Domain::cdsp;
        std::uint32_t uid = 0;
        std::chrono::milliseconds waited{0};
        std::size_t position = 0; ///< 1 is next
    };
    /// All who wait, by domain and position.
    [[nodiscard]] std::vector<Place> places() const;

    /// How often those who wait look for sessions that have become idle.
    static constexpr std::chrono::seconds look_again{1};

private:
    using Ticket = AdmissionQueue::Ticket;
    struct Opening {
        std::string sender;
        StartMessage message;
        std::shared_ptr<const std::vector<UniqueFd>> directories;
        std::shared_ptr<const std::vector<ModuleFile>> modules;
        std::function<Result<Grant>()> decide_again;
        std::function<void(Result<StartedHost>)> done;
        AdmissionQueue::Waiter place;
        SessionCharges charges;     ///< while it has no host
        std::vector<Charge> queued; ///< once it waited: its place when it has to wait again, too
        std::unique_ptr<HostStart> start;
        bool again = false; ///< its host found the DSP full, and there is time
        bool stale = false; ///< its grant is of a policy before this one
    };
    enum class Room { yes, retry, slots, lanes, own_opens, all_opens };

    [[nodiscard]] Room room(const Opening& opening, Time now) const;
    void serve(Domain domain, Time now);
    void start(Opening& opening);
    void settle(Ticket ticket, std::chrono::milliseconds wait, Time now);
    void on_done(Ticket ticket, Result<StartedHost> host);
    void on_over(Ticket ticket);
    void refuse(Ticket ticket, Error error);
    void renew(Ticket ticket);
    void end_start_if_denied(Opening& opening);
    Status queue_up(Opening& opening);
    /// Soon, by the loop: whatever ended is still in the hands of who tells it.
    void turn_soon();
    void turn();
    void expire(Time now);
    void look_for_idle(Domain domain, std::size_t more, Time now);
    void set_timer(Time now);
    [[nodiscard]] Error no_room(const Opening& opening, Room why, Time now) const;
    [[nodiscard]] Error refused_by_host(Error error, Domain domain) const;
    [[nodiscard]] Error too_late(const Opening& opening, Time now, std::size_t position) const;
    [[nodiscard]] std::string holders(Domain domain) const;

    sd_event* loop_;
    Quotas& quotas_;
    Registry& registry_;
    ReadyHosts& hosts_;
    UidRate rate_;
    AdmissionQueue queue_;
    Reclaimer reclaimer_;
    std::map<Ticket, Opening> openings_;
    Source timer_;
};

} // namespace fastrpc::broker
