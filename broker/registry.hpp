// What the broker knows: sessions, static PDs and the domains that they are on.
//
// The hosts hold the truth; this is their echo. An entry lives as long as its host's control connection: a session goes
// with its host, a static PD stays in the list as "stopped", because its host will be back. Changes are told to one
// observer, which turns them into D-Bus signals.
#pragma once

#include "broker/charge.hpp"
#include "broker/host_link.hpp"
#include "ipc/control.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fastrpc::broker {

struct Session {
    SessionCharges charges; // given back last
    std::string key;        ///< last part of the object path: opaque, never of a client's making
    Description about;
    std::string owner_name;
    std::string owner_bus; ///< unique bus name that opened it; empty when fastrpcd was started later
    bool closing = false;
    std::unique_ptr<HostLink> link;

    /// opening, ready, closing or lost.
    [[nodiscard]] std::string_view state() const noexcept;
};

struct ProtectionDomain {
    Description about;
    std::unique_ptr<HostLink> link; ///< none while its host is away
};

struct DomainEntry {
    Domain domain = Domain::cdsp;
    std::string state; ///< absent, offline, online or recovering
    std::uint64_t generation = 0;
    std::uint32_t sessions_used = 0;
    std::uint32_t sessions_max = 14; ///< the driver's most (KERNEL 1.2), until the DSP was seen full with fewer
    std::uint64_t last_crash_us = 0; ///< CLOCK_REALTIME of a static PD's last restart; 0 = none seen
    std::string last_crash_reason;
    std::vector<std::string> problems; ///< for people, one per PD that failed
    friend bool operator==(const DomainEntry&, const DomainEntry&) = default;
};

/// Called after the change; `..._removed` just before it.
class RegistryObserver {
public:
    virtual ~RegistryObserver() = default;
    virtual void domain_added(const DomainEntry& domain) = 0;
    virtual void domain_changed(const DomainEntry& domain) = 0;
    virtual void pd_added(const ProtectionDomain& pd) = 0;
    virtual void pd_changed(const ProtectionDomain& pd) = 0;
    virtual void session_added(const Session& session) = 0;
    virtual void session_changed(const Session& session) = 0;
    virtual void session_lost(const Session& session, const std::string& reason) = 0;
    virtual void session_removed(const Session& session) = 0;
};

/// Sums over all hosts since this fastrpcd started; counters of a host that came back count from the host's start.
struct Totals {
    std::uint64_t sessions_opened = 0;
    std::uint64_t sessions_refused = 0;
    Counters counters; ///< only its sums mean something
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

    /// Asks the session's host to end; the session goes when the host does.
    Status close(Session& session);
    /// The kernel said that all hardware sessions of `domain` are taken: now their number is known.
    void note_full(Domain domain);
    /// A request for a session that was turned down, for the totals.
    void count_refusal() noexcept { ++totals_.sessions_refused; }
    /// Calls back once, after every host answered or a second passed; a silent host counts as it did last.
    void collect_totals(std::function<void(const Totals&)> done);

    [[nodiscard]] Session* find_session(std::string_view key);
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
    void note_crash(const Description& about);
    void refresh(Domain domain);
    [[nodiscard]] DomainEntry look_at(Domain domain) const;
    [[nodiscard]] std::vector<HostLink*> links() const;

    Quotas& quotas_;
    RegistryObserver& observer_;
    Totals totals_; ///< of hosts that ended
    std::map<Domain, DomainEntry> domains_;
    std::map<std::pair<Domain, PdKind>, ProtectionDomain> pds_;
    std::map<std::uint64_t, Session> sessions_;
};

} // namespace fastrpc::broker
