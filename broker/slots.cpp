#include "broker/slots.hpp"

#include <algorithm>

namespace fastrpc::broker {

std::uint32_t Slots::for_sessions(std::uint32_t all, std::uint32_t known, bool root) noexcept {
    const std::uint32_t rest = all - std::min(all, known);
    return root || rest < 4 ? rest : rest - 1;
}

Slots::Answer Slots::may_start(const Use& use, bool root, Time now) const noexcept {
    if (now < paused_until_) return Answer::no;
    if (use.sessions < for_sessions(max_, use.known, root)) return Answer::yes;
    if (max_ == most || use.sessions >= for_sessions(most, use.known, root)) return Answer::no;
    // A slot that is only kept for somebody is not what was refused.
    const bool as_full = use.sessions + use.attached >= max_;
    return as_full && now >= retry_at_ ? Answer::retry : Answer::no;
}

void Slots::tried(Time now) noexcept {
    retry_at_ = now + distance_;
    distance_ = std::min(distance_ * 2, last_retry);
}

void Slots::full(const Use& others, Time now) noexcept {
    tried(now);
    if (now < doubtful_until_) {
        paused_until_ = retry_at_;
        return;
    }
    max_ = std::min(most - 1, others.sessions + others.attached);
    learned_ = now;
}

void Slots::seen(const Use& use) noexcept {
    const std::uint32_t there = std::min(most, use.sessions + use.attached);
    if (there <= max_) return;
    max_ = there;
    distance_ = first_retry;
    retry_at_ = {};
}

void Slots::forget() noexcept {
    *this = {};
}

} // namespace fastrpc::broker
