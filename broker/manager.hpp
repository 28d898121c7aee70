// org.fastrpc1.Manager: opening sessions, listing them, and saying why or why not.
//
// Every handler finds its caller's identity known already (Gate in broker.hpp), decides in one turn of the loop unless
// polkit has a say, and changes nothing before it has decided.
#pragma once

#include "broker/audit.hpp"
#include "broker/authority.hpp"
#include "broker/bus_handles.hpp"
#include "broker/identities.hpp"
#include "broker/open_request.hpp"
#include "broker/openings.hpp"
#include "broker/policy_keeper.hpp"
#include "broker/registry.hpp"
#include "broker/slow_replies.hpp"

#include <memory>
#include <string>

namespace fastrpc::broker {

/// What an ExplainAccess call asks about: "uid" u, "gids" au, "label" s, "modules" as and "directories" u, each
/// optional.
struct AskedSubject {
    Subject subject;
    std::vector<std::string> modules;
    std::uint32_t directories = 0;
    bool oneself = false;
};
Result<AskedSubject> read_subject(sd_bus_message* call, const Subject& caller);

class Manager {
public:
    struct Parts {
        sd_event* loop = nullptr;
        sd_bus* bus = nullptr;
        PolicyKeeper& policy;
        const Identities& identities;
        Authority& authority;
        Quotas& quotas;
        Registry& registry;
        ReadyHosts& hosts;
        AuditLog& audit;
        ModuleHashes& hashes;
    };
    explicit Manager(const Parts& parts) :
        parts_(parts), slow_(parts_.loop), openings_(parts_.loop, parts_.quotas, parts_.registry, parts_.hosts) {}
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;

    /// Once, before the loop runs.
    Status publish();
    /// The caller left the bus: what it was opening is given up.
    void forget(const std::string& name) {
        slow_.forget(name);
        parts_.authority.forget(name);
        openings_.forget(name);
    }
    /// A new policy is in force: what waits is decided anew, and what runs if the policy says so.
    void apply_policy();
    [[nodiscard]] std::uint64_t policy_revision() const noexcept { return parts_.policy.policy().revision(); }
    [[nodiscard]] std::string_view policy_problem() const noexcept { return parts_.policy.problem(); }

private:
    template<int (Manager::*Handler)(sd_bus_message*, const Subject&)>
    static int handle(sd_bus_message* call, void* manager, sd_bus_error* error) noexcept;

    int open_session(sd_bus_message* call, const Subject& caller);
    int list_sessions(sd_bus_message* call, const Subject& caller);
    int list_all_sessions(sd_bus_message* call, const Subject& caller);
    int terminate_session(sd_bus_message* call, const Subject& caller);
    int list_queue(sd_bus_message* call, const Subject& caller);
    int explain_access(sd_bus_message* call, const Subject& caller);
    int reload_policy(sd_bus_message* call, const Subject& caller);
    int get_stats(sd_bus_message* call, const Subject& caller);
    int list_stats(sd_bus_message* call, const Subject& caller);
    int list_rules(sd_bus_message* call, const Subject& caller);

    /// A request that is being decided about, or waits for its session.
    struct Request {
        MessageRef call;
        Subject caller;
        OpenRequest wish;
        Decision decision;
        bool denied = false; ///< by a policy that came while it waited
    };
    using Held = std::shared_ptr<Request>;
    [[nodiscard]] Decision decide(const Subject& caller, const OpenRequest& wish) const;
    /// Which driver's node a session would be on; unknown while the domain has none.
    [[nodiscard]] NodeKind node_of(Domain domain) const;
    int deny(const Request& request);
    /// Once the hashes of the files are there: decides about a request that brought some.
    void on_hashes(const Held& request, Result<std::vector<Sha256>> hashes);
    int go_on(const Held& request);
    /// Whose rule asks: puts the question before polkit, and goes on when it is answered (ask_session.cpp).
    void ask(const Held& request);
    void on_answer(const Held& request, const Status& may);
    /// Whether a yes to what one asked is one to the other.
    static bool same_rule(const Decision& before, const Decision& now);
    /// With the grant that was decided.
    void admit(const Held& request);
    void on_started(Request& request, Result<StartedHost> host);
    void on_failed(const Request& request, const Error& error);
    /// Of a request that was allowed: counts and logs why nothing came of it.
    void note_failure(const Request& request, const Error& error);
    /// While it waits: what the policy in force would grant it, or why nothing (policy_changes.cpp).
    Result<Grant> decide_again(Request& request) const;
    void end_denied_sessions();

    /// `full`: with near misses and the smallest change, which takes a look at every rule.
    void explain(sd_bus_message* call, const AskedSubject& asked, Domain domain, PdKind kind, bool full);
    void reload(sd_bus_message* call);

    static constexpr std::size_t max_reloads = 64; ///< that wait for their answers
    static const sd_bus_vtable table[];
    Parts parts_;
    SlowReplies slow_;
    Openings openings_;
    static constexpr std::uint32_t explained_per_minute = 600;
    UidRate explained_; ///< in full
    Slot slot_;
};

} // namespace fastrpc::broker
