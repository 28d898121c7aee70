// Domains, static PDs and sessions as D-Bus objects, and their changes as signals.
//
//   /org/fastrpc1/domain/<name>             org.fastrpc1.Domain
//   /org/fastrpc1/domain/<name>/pd/<kind>   org.fastrpc1.ProtectionDomain
//   /org/fastrpc1/session/<key>             org.fastrpc1.Session
//
// The registry is the only state: objects are looked up when somebody asks. A session does not exist for callers other
// than its owner, root and observers, who may look. Signals are broadcasts, so the one property with words of a
// client's own, Label, is never in them.
#pragma once

#include "broker/audit.hpp"
#include "broker/authority.hpp"
#include "broker/bus_handles.hpp"
#include "broker/charge.hpp"
#include "broker/identities.hpp"
#include "broker/registry.hpp"

#include <string>
#include <vector>

namespace fastrpc::broker {

std::string path_of(const Session& session);
std::string path_of(const DomainEntry& domain);
std::string path_of(const ProtectionDomain& pd);

class BusObjects final : public RegistryObserver {
public:
    BusObjects(sd_bus* bus, const Identities& identities, Authority& authority, AuditLog& audit) :
        bus_(bus), identities_(identities), authority_(authority), audit_(audit) {}

    /// Once, before the loop runs; `registry` outlives this object's use of the bus.
    Status publish(Registry& registry);

    void domain_added(const DomainEntry& domain) override;
    void domain_changed(const DomainEntry& domain) override;
    void generation_changed(const DomainEntry& domain, std::uint64_t before, const std::string& reason) override;
    void pd_added(const ProtectionDomain& pd) override;
    void pd_changed(const ProtectionDomain& pd) override;
    void pd_counted(const ProtectionDomain& pd) override;
    void session_added(const Session& session) override;
    void session_changed(const Session& session) override;
    void session_lost(const Session& session, const std::string& reason) override;
    void session_removed(const Session& session) override;

    /// The domain, PD or session at `path`, for the object tables; nullptr when there is none.
    [[nodiscard]] DomainEntry* domain_at(std::string_view path) const;
    [[nodiscard]] ProtectionDomain* pd_at(std::string_view path) const;
    /// As domain_at(), for whoever sent the message being handled; nullptr too when the session is not theirs.
    [[nodiscard]] Session* session_at(std::string_view path) const;
    [[nodiscard]] std::vector<std::string> domain_paths() const;
    [[nodiscard]] std::vector<std::string> session_paths() const;
    /// Because the sender of `call` wants it.
    Status close(Session& session, sd_bus_message* call);
    /// Who sent `call`; nullptr when the bus did not say.
    [[nodiscard]] const Subject* caller(sd_bus_message* call) const;
    [[nodiscard]] Authority& authority() const noexcept { return authority_; }
    /// For a question to a host that cannot be shared with other askers: one user's flood leaves room for the others.
    Result<Charge> charge_question(sd_bus_message* call);
    static constexpr std::uint64_t max_questions_per_uid = 8;
    [[nodiscard]] AuditLog& audit() noexcept { return audit_; }

private:
    [[nodiscard]] bool visible(const Session& session) const;

    sd_bus* bus_;
    const Identities& identities_;
    Authority& authority_;
    AuditLog& audit_;
    Registry* registry_ = nullptr;
    Ledger questions_; ///< per uid; outlives the links of the registry
    std::vector<Slot> slots_;
};

} // namespace fastrpc::broker
