// What a new policy means for what the policy before has granted.
#include "base/log.hpp"
#include "broker/manager.hpp"

#include <fmt/core.h>

namespace fastrpc::broker {

void Manager::apply_policy() {
    const bool end = parts_.policy.policy().ends_denied_sessions();
    openings_.policy_changed(end);
    if (end) end_denied_sessions();
}

Result<Grant> Manager::decide_again(Request& request) const {
    Decision now = decide(request.caller, request.wish);
    const bool answered = now.ask && request.decision.ask && same_rule(request.decision, now);
    request.denied = !now.allowed && !answered;
    // A host that is starting keeps what it has; a refusal, and all that is granted anew, is of the new policy.
    request.decision = std::move(now);
    if (request.denied) return fail(ErrorKind::denied, "the policy was changed: " + denial(request.decision));
    return narrowed(request.decision.grant, request.wish);
}

// Of sessions that an earlier fastrpcd opened, only the uid is known; their groups and label may be what allows them,
// so they stay. Where a rule asks now, nobody has said no.
void Manager::end_denied_sessions() {
    const Policy& policy = parts_.policy.policy();
    for (const auto& [id, known] : parts_.registry.sessions()) {
        if (known.closing || !known.asked) continue;
        const auto& [who, request] = *known.asked;
        if (policy.allows(who, object_of(request, node_of(request.domain)))) continue;
        const Decision decision = decide(who, request);
        if (decision.ask) continue;
        Session& session = *parts_.registry.find_session(id);
        const std::string text = fmt::format("the policy was changed to revision {:016x}, which denies it: {}",
                                             policy.revision(), denial(decision));
        parts_.audit.session_ended(session, decision, policy.revision(), text);
        if (const Status ended = parts_.registry.end(session, LostReason::policy_changed, text); !ended)
            log::error(fmt::format("session {} could not be ended: {}", session.key, ended.error().text));
    }
}

} // namespace fastrpc::broker
