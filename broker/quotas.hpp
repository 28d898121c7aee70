// Every quota of the broker, and what one session is charged.
//
// Sums of a uid are taken when it asks, so that what waits for a DSP counts; a DSP's slot and its call contexts are
// taken when the host is started. All travel with the session and go when the last of it goes.
#pragma once

#include "base/result.hpp"
#include "broker/charge.hpp"
#include "ipc/domain.hpp"
#include "ipc/grant.hpp"

namespace fastrpc::broker {

/// Opens that are on their way, of one uid and in all: each holds a host that is starting, and fds.
inline constexpr std::uint64_t max_opens_per_uid = 8;
inline constexpr std::uint64_t max_opens = 64;
/// Requests that wait for a DSP, in all.
inline constexpr std::uint64_t max_queued = 256;

struct Quotas {
    Ledger sessions;  ///< per session_key()
    Ledger lanes;     ///< per domain: call contexts
    Ledger slots;     ///< per domain: hardware sessions of clients' sessions, those being opened included
    Ledger uid_lanes; ///< per uid, as the next two
    Ledger uid_bytes;
    Ledger uid_fds;
    Ledger opens;  ///< per uid, and in all under `all`
    Ledger queued; ///< as opens
    static constexpr std::uint64_t all = ~std::uint64_t{0};
    static constexpr std::uint64_t session_key(std::uint32_t uid, Domain domain) noexcept {
        return std::uint64_t{static_cast<std::uint8_t>(domain)} << 32 | uid;
    }
    static constexpr std::uint64_t domain_key(Domain domain) noexcept { return static_cast<std::uint8_t>(domain); }
};

/// What a session holds as long as it lives.
struct SessionCharges {
    Charge session;
    Charge lanes;
    Charge slot;
    Charge uid_lanes;
    Charge uid_bytes;
    Charge uid_fds;
};

/// The charges of a uid for one more session with `grant`; ErrorKind::quota names the limit that is reached.
Result<SessionCharges> take_sums(Quotas& quotas, std::uint32_t uid, Domain domain, const Grant& grant);
/// All charges of a session that exists already.
SessionCharges record_session(Quotas& quotas, std::uint32_t uid, Domain domain, const Grant& grant);

} // namespace fastrpc::broker
