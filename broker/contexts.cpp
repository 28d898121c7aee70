#include "broker/contexts.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace fastrpc::broker {
namespace {

using Version = std::pair<unsigned, unsigned>;
constexpr Version first_loser{6, 12};
// The listener's, and calls that the kernel makes for a host.
constexpr std::uint32_t beside_lanes = 8;

// The first "major.minor" in a text.
std::optional<Version> version_in(std::string_view text) {
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at != end;) {
        unsigned major = 0, minor = 0;
        const auto first = std::from_chars(at, end, major);
        if (first.ec == std::errc() && first.ptr != end && *first.ptr == '.' &&
            std::from_chars(first.ptr + 1, end, minor).ec == std::errc())
            return Version{major, minor};
        at = first.ptr == at ? at + 1 : first.ptr;
    }
    return std::nullopt;
}

std::uint32_t most(const Description& about) noexcept {
    const std::uint32_t lanes = about.grant.limits.lanes;
    return std::min(lanes, contexts_max) + beside_lanes;
}

} // namespace

bool loses_contexts(const Description& about) noexcept {
    if (about.backend == "accel") return false;
    const auto version = version_in(about.profile);
    return !version || *version >= first_loser;
}

std::uint32_t left_behind(const Description& about, const Counters* last) noexcept {
    if (about.node.empty() || !loses_contexts(about)) return 0;
    if (last != nullptr) return std::min(last->in_flight, most(about));
    return std::min(about.grant.limits.lanes, contexts_max) + 1; // and its listener
}

std::uint32_t admitted(const Description& about, std::uint32_t claimed) noexcept {
    return std::min(claimed, most(about));
}

void LostContexts::add(Domain domain, std::uint32_t count) noexcept {
    std::uint32_t& lost = lost_.at(static_cast<std::size_t>(domain));
    lost = std::min(contexts_max, lost + std::min(contexts_max, count));
}

void LostContexts::presume(const Description& host, std::uint32_t count) {
    const std::uint32_t before = of(host.domain);
    add(host.domain, count);
    if (const std::uint32_t added = of(host.domain) - before; added > 0) presumed_[{host.domain, host.pid}] += added;
}

void LostContexts::is_back(const Description& host) noexcept {
    const auto found = presumed_.find({host.domain, host.pid});
    if (found == presumed_.end()) return;
    lost_.at(static_cast<std::size_t>(host.domain)) -= found->second;
    presumed_.erase(found);
}

void LostContexts::forget(Domain domain) noexcept {
    lost_.at(static_cast<std::size_t>(domain)) = 0;
    std::erase_if(presumed_, [&](const auto& entry) { return entry.first.first == domain; });
}

std::uint32_t LostContexts::of(Domain domain) const noexcept {
    return lost_.at(static_cast<std::size_t>(domain));
}

} // namespace fastrpc::broker
