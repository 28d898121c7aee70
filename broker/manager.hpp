// org.fastrpc1.Manager: opening sessions, listing them, and saying why or why not.
//
// Every handler finds its caller's identity known already (Gate in broker.hpp), decides in one turn of the loop, and
// changes nothing before it has decided.
#pragma once

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

class Manager {
public:
    struct Parts {
        sd_event* loop = nullptr;
        sd_bus* bus = nullptr;
        PolicyKeeper& policy;
        const Identities& identities;
        Quotas& quotas;
        Registry& registry;
        ReadyHosts& hosts;
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
        openings_.forget(name);
    }
    [[nodiscard]] std::uint64_t policy_revision() const noexcept { return parts_.policy.policy().revision(); }
    [[nodiscard]] std::string_view policy_problem() const noexcept { return parts_.policy.problem(); }

private:
    template<int (Manager::*Handler)(sd_bus_message*, const Subject&)>
    static int handle(sd_bus_message* call, void* manager, sd_bus_error* error) noexcept;

    int open_session(sd_bus_message* call, const Subject& caller);
    int list_sessions(sd_bus_message* call, const Subject& caller);
    int list_queue(sd_bus_message* call, const Subject& caller);
    int explain_access(sd_bus_message* call, const Subject& caller);
    int reload_policy(sd_bus_message* call, const Subject& caller);
    int get_stats(sd_bus_message* call, const Subject& caller);

    void on_started(const MessageRef& call, Result<StartedHost> host);
    int refuse(sd_bus_message* call, const Subject& caller, Domain domain, std::string_view word, const Error& error);
    /// Counts and logs it.
    void note_refusal(const Subject& caller, Domain domain, const Error& error);

    static constexpr std::uint32_t logged_per_minute = 120;
    static constexpr std::size_t max_reloads = 64; ///< that wait for their answers
    static const sd_bus_vtable table[];
    Parts parts_;
    SlowReplies slow_;
    Openings openings_;
    UidRate logged_; ///< refusals: a flood of requests must not become one of log lines
    Slot slot_;
};

/// What an ExplainAccess call asks about: "uid" u and "gids" au, each optional; only root asks about others.
Result<Subject> read_subject(sd_bus_message* call, const Subject& caller);

} // namespace fastrpc::broker
