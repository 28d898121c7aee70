// What the broker knows: sessions, static PDs and the domains that they are on.
//
// The hosts hold the truth; this is their echo. An entry lives as long as its host's control connection: a session goes
// with its host, a static PD stays in the list as "stopped", because its host will be back. Changes are told to one
// observer, which turns them into D-Bus signals.
#pragma once

#include "broker/contexts.hpp"
#include "broker/domain_entry.hpp"
#include "broker/host_link.hpp"
#include "broker/open_request.hpp"
#include "broker/quotas.hpp"
#include "broker/slots.hpp"
#include "ipc/control.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fastrpc::broker {

/// Who asked for a session, as the bus said then, and for what: enough to decide about it again.
struct SessionWish {
    Subject who;
    OpenRequest request; ///< without its directories
};

struct Session {
    SessionCharges charges; // given back last
    std::string key;        ///< last part of the object path: opaque, never of a client's making
    Description about;
    std::string owner_name;
    std::string owner_bus;                    ///< unique bus name that opened it; empty when fastrpcd was started later
    std::unique_ptr<const SessionWish> asked; ///< as owner_bus
    bool closing = false;
    std::string ending; ///< while it is closing: why, for its owner; empty when that closed it itself
    std::uint64_t arrivals =
        0; ///< of its domain when its PD came to run: what it leaves inside the DSP dies with those
    std::unique_ptr<HostLink> link;

    /// opening, ready, closing or lost.
    [[nodiscard]] std::string_view state() const noexcept;
};

struct ProtectionDomain {
    Description about;
    std::uint64_t arrivals = 0;     ///< as of a session
    std::unique_ptr<HostLink> link; ///< none while its host is away
};

/// Called after the change; `..._removed` just before it.
class RegistryObserver {
public:
    virtual ~RegistryObserver() = default;
    virtual void domain_added(const DomainEntry& domain) = 0;
    virtual void domain_changed(const DomainEntry& domain) = 0;
    /// After the domain_changed() or domain_added() that shows the new one.
    virtual void generation_changed(const DomainEntry& domain, std::uint64_t before, const std::string& reason) = 0;
    virtual void pd_added(const ProtectionDomain& pd) = 0;
    virtual void pd_changed(const ProtectionDomain& pd) = 0;
    /// Its counters alone, which its host pushed.
    virtual void pd_counted(const ProtectionDomain& pd) = 0;
    virtual void session_added(const Session& session) = 0;
    virtual void session_changed(const Session& session) = 0;
    virtual void session_lost(const Session& session, const std::string& reason) = 0;
    virtual void session_removed(const Session& session) = 0;
};

/// Of all sessions of one kind on one DSP.
struct SessionTotals {
    std::uint64_t opened = 0;
    std::uint64_t refused = 0;
    Counters counters; ///< only its sums mean something
    Latency latency;
};

/// Sums over all hosts since this fastrpcd started; counters of a host that came back count from the host's start.
struct Totals {
    std::uint64_t sessions_opened = 0;
    std::uint64_t sessions_refused = 0;
    Counters counters; ///< only its sums mean something
    std::map<std::pair<Domain, PdKind>, SessionTotals> sessions;
};

class Registry {
public:
    Registry(Quotas& quotas, RegistryObserver& observer) : quotas_(quotas), observer_(observer) {}
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    /// A session number that is not in use, and cannot be guessed.
    [[nodiscard]] std::uint64_t new_session_id() const;
    Session& add_session(std::unique_ptr<HostLink> link, Description about, SessionCharges charges,
                         std::string owner_bus);
    /// A host that described itself on the control socket: a static one, or a session of an earlier fastrpcd, which
    /// gets its charges again even above a limit. On an error the caller still holds the link.
    Status adopt(std::unique_ptr<HostLink>& link, Description about);

    /// News of discovery. A first node makes a new generation of the domain, which has all its contexts again.
    void set_devices(Domain domain, DeviceFacts facts);
    /// Ids of contexts of `domain` that only a restart of the DSP gives back.
    [[nodiscard]] std::uint32_t lost_contexts(Domain domain) const noexcept { return lost_.of(domain); }

    /// Asks the session's host to end, because `closer` wants it; the session goes when the host does.
    Status close(Session& session, std::uint32_t closer);
    /// The same for another reason, which its owner is told.
    Status end(Session& session, LostReason reason, const std::string& text);

    /// Who hears, after the fact, that something on a domain ended, or that its DSP is back.
    void watch_room(std::function<void(Domain)> watcher) { room_ = std::move(watcher); }
    /// The kernel said that all hardware sessions of `domain` are taken: now their number is known, for a while.
    void note_full(Domain domain, Slots::Time now = std::chrono::steady_clock::now());
    /// A session is tried on a DSP that was full.
    void note_try(Domain domain, Slots::Time now) { memory_[domain].slots.tried(now); }
    /// Forgets what was learned too long ago.
    void note_time(Domain domain, Slots::Time now);
    [[nodiscard]] Slots slots(Domain domain) const;
    [[nodiscard]] Slots::Use slots_used(Domain domain) const;
    /// A request for a session that was turned down, for the totals.
    void count_refusal(Domain domain, PdKind kind);
    /// Calls back once, after every host answered or a second passed; a silent host counts as it did last.
    void collect_totals(std::function<void(const Totals&)> done);

    [[nodiscard]] Session* find_session(std::string_view key);
    [[nodiscard]] Session* find_session(std::uint64_t id);
    [[nodiscard]] ProtectionDomain* find_pd(Domain domain, PdKind kind);
    [[nodiscard]] DomainEntry* find_domain(Domain domain);
    [[nodiscard]] const std::map<std::uint64_t, Session>& sessions() const noexcept { return sessions_; }
    [[nodiscard]] const std::map<std::pair<Domain, PdKind>, ProtectionDomain>& pds() const noexcept { return pds_; }
    [[nodiscard]] const std::map<Domain, DomainEntry>& domains() const noexcept { return domains_; }

    /// Who has sessions on `domain`, e.g. "nobody 2, mail 1, static PDs 1"; "nobody that fastrpcd knows of" without
    /// any.
    [[nodiscard]] std::string holders(Domain domain) const;

private:
    Session& insert_session(std::unique_ptr<HostLink> link, Description about, SessionCharges charges,
                            std::string owner_bus);
    Status adopt_session(std::unique_ptr<HostLink>& link, Description about);
    Status adopt_pd(std::unique_ptr<HostLink>& link, Description about);
    void on_session(std::uint64_t id, HostMessage message);
    void on_pd(std::pair<Domain, PdKind> key, HostMessage message);
    void remove_session(std::uint64_t id);
    void stop_pd(ProtectionDomain& pd, const std::string& reason);
    /// What `message`, the end of a host, leaves inside the DSP.
    void note_losses(const HostMessage& message, const Description& about, const HostLink& link,
                     std::uint64_t arrivals);

    /// What outlives the hosts and nodes that it was learned from.
    struct Memory {
        DeviceFacts facts;
        std::uint64_t generation = 0;
        std::uint64_t arrivals = 0; ///< of a first node; 0 while discovery has seen none
        Slots slots;
        std::uint64_t last_crash_us = 0;
        std::string last_crash_reason;
        std::string profile;
        std::array<std::uint32_t, capability_count> capabilities = unknown_capabilities();
    };
    void learn(const Description& about);
    void note_crash(Domain domain, std::string reason);
    void refresh(Domain domain);
    void tell_room(Domain domain);
    [[nodiscard]] DomainEntry look_at(Domain domain) const;
    [[nodiscard]] std::uint64_t arrivals(Domain domain) const;
    [[nodiscard]] std::vector<HostLink*> links() const;

    Quotas& quotas_;
    RegistryObserver& observer_;
    std::function<void(Domain)> room_;
    Totals totals_; ///< of hosts that ended
    LostContexts lost_;
    std::map<Domain, Memory> memory_;
    std::map<Domain, DomainEntry> domains_;
    std::map<std::pair<Domain, PdKind>, ProtectionDomain> pds_;
    std::map<std::uint64_t, Session> sessions_;
};

} // namespace fastrpc::broker
