// OpenSession where the rule that decides asks polkit.
//
// The question comes before any queue, slot or charge, so whoever is asked may take the time. Meanwhile the policy may
// have been replaced: what is granted is always a grant of the policy in force, and an answer counts only for the rule
// that it was asked for.
#include "broker/accounts.hpp"
#include "broker/bus_reply.hpp"
#include "broker/manager.hpp"

#include <fmt/core.h>

namespace fastrpc::broker {
// It stands elsewhere in a newer policy, perhaps, but gives no more and no less.
bool Manager::same_rule(const Decision& before, const Decision& now) {
    Grant moved = now.grant;
    moved.line = before.grant.line;
    moved.revision = before.grant.revision;
    return moved == before.grant;
}

void Manager::ask(const Held& request) {
    const auto& [call, caller, wish, decision, denied] = *request;
    parts_.audit.session_asked({caller, wish.domain, wish.kind}, decision, decision.reason);
    // What the program says of itself is text for people; polkit's rules may look at the rest.
    const Authority::Details details{{"domain", std::string(to_string(wish.domain))},
                                     {"pd", std::string(to_string(wish.kind))},
                                     {"label", wish.label.empty() ? "(none)" : wish.label},
                                     {"rule", decision.rule},
                                     {"user", user_name(caller.uid)}};
    parts_.authority.ask(call.get(), caller, action::open_session, details,
                         [this, request](const Status& may) { on_answer(request, may); });
}

void Manager::on_answer(const Held& request, const Status& may) {
    Decision now = decide(request->caller, request->wish);
    const bool same = same_rule(request->decision, now);
    request->decision = std::move(now);
    if (!request->decision.allowed && !request->decision.ask) {
        deny(*request);
    } else if (request->decision.ask && !same) {
        ask(request);
    } else if (request->decision.ask && !may) {
        const Decision& decision = request->decision;
        const std::string text =
            fmt::format("{} PD on {} denied: rule \"{}\" ({}:{}) asks polkit about {}, and {}",
                        to_string(request->wish.kind), to_string(request->wish.domain), decision.rule, decision.file,
                        decision.line, action::open_session, may.error().text);
        parts_.registry.count_refusal(request->wish.domain, request->wish.kind);
        parts_.audit.session_denied({request->caller, request->wish.domain, request->wish.kind}, decision,
                                    policy_revision(), may.error().text);
        reply_error(request->call.get(), error_word(may.error().kind), text);
    } else {
        admit(request);
    }
}

} // namespace fastrpc::broker
