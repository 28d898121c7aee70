// The budget of call contexts: 255 ids per DSP, shared by everything that calls it (KERNEL 1.2).
//
// A lane takes one while its call is inside the DSP. Lanes granted over all sessions of a domain therefore stay within
// 255, less a reserve, less the ids that the kernel has lost: from Linux 6.12 on, a call whose caller died never gives
// its id back before the DSP restarts (KERNEL 1.14).
#pragma once

#include "ipc/control.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <utility>

namespace fastrpc::broker {

inline constexpr std::uint32_t contexts_max = 255;
/// For up to 14 PDs, the listener of each and a call that the kernel makes for each; and 5 to spare.
inline constexpr std::uint32_t contexts_reserved = 33;

/// Lanes that the sessions of a domain may have in all when `lost` ids are gone.
constexpr std::uint64_t lane_limit(std::uint32_t lost) noexcept {
    constexpr std::uint32_t best = contexts_max - contexts_reserved;
    return lost >= best ? 0 : best - lost;
}

/// Whether the driver that a host describes loses the ids of calls that are left inside the DSP. Yes, unless the
/// profile names a kernel before 6.12 or the backend is accel, which frees the ids of interrupted calls (KERNEL 2.4).
bool loses_contexts(const Description& about) noexcept;

/// Ids that a host may have left behind which vanished without a word; `last` are its last known counters, or nullptr.
std::uint32_t left_behind(const Description& about, const Counters* last) noexcept;

/// Ids that a host says it leaves behind, as far as it can have had them: a broken host must not use up a whole DSP.
std::uint32_t admitted(const Description& about, std::uint32_t claimed) noexcept;

class LostContexts {
public:
    void add(Domain domain, std::uint32_t count) noexcept;
    /// As add(), for a host that may be back, and then has lost nothing.
    void presume(const Description& host, std::uint32_t count);
    void is_back(const Description& host) noexcept;
    /// The DSP has restarted: all ids are free.
    void forget(Domain domain) noexcept;
    [[nodiscard]] std::uint32_t of(Domain domain) const noexcept;

private:
    std::array<std::uint32_t, all_domains.size()> lost_{};
    std::map<std::pair<Domain, std::uint32_t>, std::uint32_t> presumed_; ///< part of lost_, by the host's pid
};

} // namespace fastrpc::broker
