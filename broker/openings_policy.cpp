// What is on its way when the policy changes.
//
// A request that waits has nothing yet, so the rule that let it in counts no more: it gets what the new policy grants,
// whole, with its charges, or a refusal at once. Only its place and its deadline stay.
#include "broker/openings.hpp"

namespace fastrpc::broker {

void Openings::policy_changed(bool end_denied) {
    std::vector<Ticket> waiting, starting; // either may leave the map in its turn
    for (auto& [ticket, opening] : openings_)
        if (opening.decide_again) (opening.start ? starting : waiting).push_back(ticket);
    for (const Ticket ticket : waiting) renew(ticket);
    for (const Ticket ticket : starting) {
        Opening& opening = openings_.at(ticket);
        opening.stale = true;
        if (end_denied) end_start_if_denied(opening);
    }
    turn_soon();
}

void Openings::renew(Ticket ticket) {
    Opening& opening = openings_.at(ticket);
    opening.stale = false;
    auto grant = opening.decide_again();
    if (!grant) return refuse(ticket, std::move(grant.error()));
    opening.charges = {}; // first, so that they do not stand in the way of their own successors
    auto charges = take_sums(quotas_, opening.place.uid, opening.place.domain, *grant);
    if (!charges) return refuse(ticket, std::move(charges.error()));
    opening.charges = std::move(*charges);
    opening.message.grant = std::move(*grant);
}

// The host ends and gives back what it was charged, as when its client leaves (host_start.hpp).
void Openings::end_start_if_denied(Opening& opening) {
    if (opening.start->answered()) return;
    auto grant = opening.decide_again();
    if (grant) return;
    const std::string text = grant.error().text;
    opening.done(std::unexpected(std::move(grant.error())));
    opening.start->abandon(text);
}

} // namespace fastrpc::broker
