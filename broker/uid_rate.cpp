#include "broker/uid_rate.hpp"

#include <algorithm>

namespace fastrpc::broker {

std::chrono::milliseconds UidRate::take(std::uint32_t uid, std::uint32_t per_minute, Time now) {
    using namespace std::chrono;
    if (paid_.size() >= prune_at) std::erase_if(paid_, [&](const auto& entry) { return entry.second <= now; });
    const nanoseconds one = nanoseconds(minutes(1)) / std::max(1U, per_minute);
    const nanoseconds credit = one * std::max(1U, per_minute / 6);
    const auto known = paid_.find(uid);
    const Time paid = known == paid_.end() ? now : std::max(known->second, now);
    const auto excess = paid + one - now - credit;
    if (excess > nanoseconds(0)) return ceil<milliseconds>(excess);
    paid_[uid] = paid + one;
    return milliseconds(0);
}

} // namespace fastrpc::broker
