#include "broker/admission.hpp"

#include <algorithm>
#include <utility>

namespace fastrpc::broker {

AdmissionQueue::Ticket AdmissionQueue::enter(Domain domain, std::uint32_t uid, Time now, Time deadline) {
    std::list<Line>& lines = lines_[domain];
    const auto line = std::ranges::find(lines, uid, &Line::uid);
    Line& own = line == lines.end() ? lines.emplace_back(Line{uid, {}}) : *line;
    own.waiters.push_back({++last_, domain, uid, now, deadline});
    return last_;
}

void AdmissionQueue::put_back(const Waiter& waiter) {
    std::list<Line>& lines = lines_[waiter.domain];
    const auto line = std::ranges::find(lines, waiter.uid, &Line::uid);
    if (line == lines.end())
        lines.push_front({waiter.uid, {}});
    else
        lines.splice(lines.begin(), lines, line);
    // Several of one uid may come back in any order.
    std::deque<Waiter>& own = lines.front().waiters;
    own.insert(std::ranges::upper_bound(own, waiter.ticket, {}, &Waiter::ticket), waiter);
}

bool AdmissionQueue::leave(Ticket ticket) {
    for (auto& [domain, lines] : lines_)
        for (auto line = lines.begin(); line != lines.end(); ++line) {
            const auto found = std::ranges::find(line->waiters, ticket, &Waiter::ticket);
            if (found == line->waiters.end()) continue;
            line->waiters.erase(found);
            if (line->waiters.empty()) lines.erase(line);
            return true;
        }
    return false;
}

std::optional<AdmissionQueue::Waiter> AdmissionQueue::next(Domain domain,
                                                           const std::function<bool(const Waiter&)>& may_start) {
    std::list<Line>& lines = lines_[domain];
    const auto line = std::ranges::find_if(lines, [&](const Line& one) { return may_start(one.waiters.front()); });
    if (line == lines.end()) return std::nullopt;
    Waiter waiter = line->waiters.front();
    line->waiters.pop_front();
    if (line->waiters.empty())
        lines.erase(line);
    else
        lines.splice(lines.end(), lines, line);
    return waiter;
}

std::vector<AdmissionQueue::Expired> AdmissionQueue::expire(Time now) {
    std::vector<Expired> late;
    for (const auto& [domain, lines] : lines_)
        for (const Line& line : lines)
            for (const Waiter& waiter : line.waiters)
                if (waiter.deadline <= now) late.push_back({waiter, position(waiter.ticket)});
    for (const Expired& one : late) leave(one.waiter.ticket);
    return late;
}

// In each round a uid before this one's is served once more than one behind it.
std::size_t AdmissionQueue::position(Ticket ticket) const {
    const Waiter* waiter = find(ticket);
    if (waiter == nullptr) return 0;
    const std::list<Line>& lines = lines_.at(waiter->domain);
    const auto own = std::ranges::find(lines, waiter->uid, &Line::uid);
    const auto rounds =
        static_cast<std::size_t>(std::ranges::find(own->waiters, ticket, &Waiter::ticket) - own->waiters.begin());
    std::size_t before = rounds;
    bool ahead = true;
    for (auto line = lines.begin(); line != lines.end(); ++line) {
        if (line == own)
            ahead = false;
        else
            before += std::min(line->waiters.size(), rounds + (ahead ? 1 : 0));
    }
    return before + 1;
}

const AdmissionQueue::Waiter* AdmissionQueue::find(Ticket ticket) const {
    for (const auto& [domain, lines] : lines_)
        for (const Line& line : lines) {
            const auto found = std::ranges::find(line.waiters, ticket, &Waiter::ticket);
            if (found != line.waiters.end()) return &*found;
        }
    return nullptr;
}

std::vector<AdmissionQueue::Waiter> AdmissionQueue::waiters(Domain domain) const {
    std::vector<Waiter> all;
    const auto lines = lines_.find(domain);
    if (lines == lines_.end()) return all;
    const std::size_t count = size(domain);
    for (std::size_t round = 0; all.size() < count; ++round)
        for (const Line& line : lines->second)
            if (round < line.waiters.size()) all.push_back(line.waiters[round]);
    return all;
}

std::size_t AdmissionQueue::size(Domain domain) const {
    std::size_t count = 0;
    if (const auto lines = lines_.find(domain); lines != lines_.end())
        for (const Line& line : lines->second) count += line.waiters.size();
    return count;
}

std::size_t AdmissionQueue::size() const {
    std::size_t count = 0;
    for (const auto& [domain, lines] : lines_) count += size(domain);
    return count;
}

std::optional<AdmissionQueue::Time> AdmissionQueue::first_deadline() const {
    std::optional<Time> first;
    for (const auto& [domain, lines] : lines_)
        for (const Line& line : lines)
            for (const Waiter& waiter : line.waiters)
                first = std::min(first.value_or(waiter.deadline), waiter.deadline);
    return first;
}

} // namespace fastrpc::broker
