#include "broker/quotas.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::broker {
namespace {

Status take_sum(Ledger& ledger, std::uint32_t uid, std::uint64_t amount, std::uint64_t limit, const char* what,
                const char* name, Charge& charge) {
    auto taken = ledger.take(uid, amount, limit);
    if (!taken)
        return fail(
            ErrorKind::quota,
            fmt::format("this session may use {} {}, and uid {} has {} of its {} left; close a session, ask for "
                        "less, or raise the rule's limit \"{}\"",
                        amount, what, uid, limit - std::min(limit, ledger.used(uid)), limit, name));
    charge = std::move(*taken);
    return {};
}

} // namespace

Result<SessionCharges> take_sums(Quotas& quotas, std::uint32_t uid, Domain domain, const Grant& grant) {
    const Limits& limits = grant.limits;
    SessionCharges charges;
    auto session = quotas.sessions.take(Quotas::session_key(uid, domain), 1, limits.sessions_per_uid);
    if (!session)
        return fail(ErrorKind::quota,
                    fmt::format("uid {} has its {} sessions on {} already; close one, or raise the rule's limit "
                                "\"sessions_per_uid\"",
                                uid, limits.sessions_per_uid, to_string(domain)));
    charges.session = std::move(*session);
    const std::uint64_t lanes = limits.lanes, fds = session_fds(grant);
    Status taken =
        take_sum(quotas.uid_lanes, uid, lanes, limits.lanes_per_uid, "lanes", "lanes_per_uid", charges.uid_lanes);
    if (taken)
        taken = take_sum(quotas.uid_bytes, uid, limits.mapped_bytes, limits.mapped_bytes_per_uid, "mapped bytes",
                         "mapped_bytes_per_uid", charges.uid_bytes);
    if (taken)
        taken =
            take_sum(quotas.uid_fds, uid, fds, limits.fds_per_uid, "file descriptors", "fds_per_uid", charges.uid_fds);
    if (!taken) return std::unexpected(taken.error());
    return charges;
}

SessionCharges record_session(Quotas& quotas, std::uint32_t uid, Domain domain, const Grant& grant) {
    const Limits& limits = grant.limits;
    return {.session = quotas.sessions.record(Quotas::session_key(uid, domain), 1),
            .lanes = quotas.lanes.record(Quotas::domain_key(domain), limits.lanes),
            .slot = quotas.slots.record(Quotas::domain_key(domain), 1),
            .uid_lanes = quotas.uid_lanes.record(uid, limits.lanes),
            .uid_bytes = quotas.uid_bytes.record(uid, limits.mapped_bytes),
            .uid_fds = quotas.uid_fds.record(uid, session_fds(grant))};
}

} // namespace fastrpc::broker
