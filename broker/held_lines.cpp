#include "broker/held_lines.hpp"

#include <algorithm>
#include <utility>

namespace fastrpc::broker {

HeldLines::Subject HeldLines::place_of(Subject subject) const {
    if (windows_.contains(subject)) return subject;
    const auto own = of_uid_.find(subject.uid);
    if (own != of_uid_.end() && own->second >= max_of_uid) subject = {.uid = subject.uid, .kind = {}, .what = {}};
    if (windows_.contains(subject) || windows_.size() < max_windows) return subject;
    return {.uid = everybody, .kind = {}, .what = {}};
}

bool HeldLines::take(Subject subject, Time now) {
    subject = place_of(std::move(subject));
    const auto [entry, added] = windows_.try_emplace(std::move(subject), Window{.end = now + window_});
    if (added && !entry->first.shared()) ++of_uid_[entry->first.uid];
    if (!added) ++entry->second.count;
    return added;
}

std::vector<HeldLines::Held> HeldLines::due(Time now) {
    std::vector<Held> held;
    for (auto next = windows_.begin(); next != windows_.end();) {
        const auto entry = next++;
        auto& [subject, it] = *entry;
        if (it.end > now) continue;
        if (it.count > 0) {
            held.push_back({subject, std::exchange(it.count, 0)});
            it.end = now + window_;
            continue;
        }
        const auto own = of_uid_.find(subject.uid);
        if (!subject.shared() && --own->second == 0) of_uid_.erase(own);
        windows_.erase(entry);
    }
    return held;
}

std::vector<HeldLines::Held> HeldLines::all() {
    std::vector<Held> held;
    for (const auto& [subject, it] : std::exchange(windows_, {}))
        if (it.count > 0) held.push_back({subject, it.count});
    of_uid_.clear();
    return held;
}

std::optional<HeldLines::Time> HeldLines::next() const {
    const auto first = std::ranges::min_element(windows_, {}, [](const auto& entry) { return entry.second.end; });
    if (first == windows_.end()) return std::nullopt;
    return first->second.end;
}

} // namespace fastrpc::broker
