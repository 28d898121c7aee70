// Why a session is not opened now: who is in the way, and what to do about it.
#include "broker/openings.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::broker {

std::string Openings::holders(Domain domain) const {
    std::string text = fmt::format("; sessions on {} are held by: {}", to_string(domain), registry_.holders(domain));
    if (const std::size_t waiting = queue_.size(domain); waiting > 1)
        text += fmt::format("; {} requests wait for it", waiting);
    return text;
}

Error Openings::no_room(const Opening& opening, Room why, Time now) const {
    using std::chrono::milliseconds;
    const Domain domain = opening.place.domain;
    const auto name = to_string(domain);
    const std::uint32_t lost = registry_.lost_contexts(domain);
    switch (why) {
    case Room::own_opens:
    case Room::all_opens:
        return {why == Room::own_opens ? ErrorKind::quota : ErrorKind::busy, 0,
                fmt::format("{} sessions are being opened already; try again when one of them is open",
                            why == Room::own_opens ? max_opens_per_uid : max_opens)};
    case Room::lanes: {
        const std::uint64_t limit = lane_limit(lost);
        const std::uint64_t used = std::min(limit, quotas_.lanes.used(Quotas::domain_key(domain)));
        std::string text =
            fmt::format("{} has {} of its {} lanes left and {} were asked for; ask for fewer with option \"lanes\"",
                        name, limit - used, limit, opening.message.grant.limits.lanes);
        if (lost > 0)
            text += fmt::format("; {} more are lost to calls that were left inside the DSP, and only a restart of the "
                                "DSP gives them back",
                                lost);
        return {ErrorKind::quota, 0, text + holders(domain)};
    }
    case Room::yes:
    case Room::retry:
        return {ErrorKind::busy, 0,
                fmt::format("requests of uid {} that came before wait for {}; try again when they are served",
                            opening.place.uid, name)};
    case Room::slots:
        break;
    }
    const Slots::Use use = registry_.slots_used(domain);
    const std::uint32_t all = registry_.slots(domain).max();
    const milliseconds next =
        reclaimer_.leaving(domain) > 0
            ? Reclaimer::grace
            : std::max(Slots::first_retry, std::chrono::ceil<milliseconds>(registry_.slots(domain).retry_at() - now));
    const std::uint32_t own = Slots::for_sessions(all, use.known, opening.place.uid == 0);
    return {ErrorKind::busy, 0,
            fmt::format(
                "all {} hardware sessions of {} that uid {} may have are taken ({} in all; kept: {} for static PDs, "
                "{} for root){}; try again in {} ms, or let the request wait with option \"wait-ms\"",
                own, name, opening.place.uid, all, use.known, Slots::for_sessions(all, use.known, true) - own,
                holders(domain), next.count())};
}

Error Openings::refused_by_host(Error error, Domain domain) const {
    error.text += fmt::format("{}; try again in {} ms, or let the request wait with option \"wait-ms\"",
                              holders(domain), Slots::first_retry.count());
    return error;
}

Error Openings::too_late(const Opening& opening, Time now, std::size_t position) const {
    using namespace std::chrono;
    const Domain domain = opening.place.domain;
    return {
        ErrorKind::timeout, 0,
        fmt::format("waited {} ms for a session on {} and was number {} of those who wait{}; ask again, with a longer "
                    "\"wait-ms\" if the rule's limit \"queue_ms\" of {} allows it",
                    duration_cast<milliseconds>(now - opening.place.since).count(), to_string(domain), position,
                    holders(domain), opening.message.grant.limits.queue_ms)};
}

} // namespace fastrpc::broker
