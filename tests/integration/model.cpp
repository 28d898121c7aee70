#include "tests/integration/model.hpp"

#include <algorithm>
#include <numeric>

namespace fastrpc::test {
namespace {

// What a host may hold beside its buffers and lanes: its client's directory, and its own.
constexpr std::uint64_t fds_of_a_host = 1 + 64, fds_of_a_lane = 3;

void add(Model::Sums& sums, const ModelGrant& grant) {
    ++sums.sessions;
    sums.lanes += grant.lanes;
    sums.memory += grant.memory;
    sums.fds += grant.buffers + grant.lanes * fds_of_a_lane + fds_of_a_host;
}

} // namespace

std::string Model::open(const std::string& user, const Wish& wish, unsigned& number) {
    if (wish.pd == "root") return "Unsupported";
    if (wish.lanes == 0U || wish.priority == 0U || wish.priority > 255U || wish.stack == 0U) return "InvalidArgs";
    if (wish.pd != "unsigned") return "AccessDenied";
    const ModelGrant grant{.lanes = std::min(limits_.lanes, wish.lanes.value_or(limits_.lanes)),
                           .memory = std::min(limits_.memory, wish.memory.value_or(limits_.memory)),
                           .buffers = limits_.buffers,
                           .priority = wish.priority ? std::max(limits_.best_priority, *wish.priority) : 0,
                           .stack = std::min(limits_.stack, wish.stack.value_or(0)),
                           .handles = limits_.handles};
    Sums its = sums(user);
    add(its, grant);
    if (its.sessions > limits_.sessions_per_uid) return "QuotaExceeded sessions_per_uid";
    if (its.lanes > limits_.lanes_per_uid) return "QuotaExceeded lanes_per_uid";
    if (its.memory > limits_.memory_per_uid) return "QuotaExceeded mapped_bytes_per_uid";
    if (its.fds > limits_.fds_per_uid) return "QuotaExceeded fds_per_uid";
    const auto own = waiting_.find(user);
    const std::size_t before = own == waiting_.end() ? 0 : own->second.size();
    if (before == 0 && may_start(user, grant)) {
        number = ++last_;
        start(user, {number, grant});
        return "ok";
    }
    if (!wish.waits) return fits(grant) ? "Busy" : "QuotaExceeded";
    if (before == limits_.queued_per_uid) return "QuotaExceeded queued_per_uid";
    number = ++last_;
    waiting_[user].push_back({number, grant});
    if (before == 0) turns_.push_back(user);
    return "waits";
}

bool Model::may_start(const std::string& user, const ModelGrant& grant) const {
    return sessions_.size() < limits_.slots + (user == "root" ? 1 : 0) && fits(grant);
}

void Model::start(const std::string& user, const Request& request) {
    sessions_.emplace(request.number, request.grant);
    users_[request.number] = user;
}

std::optional<unsigned> Model::next() {
    const auto turn = std::ranges::find_if(
        turns_, [&](const std::string& user) { return may_start(user, waiting_.at(user).front().grant); });
    if (turn == turns_.end()) return std::nullopt;
    const std::string user = *turn;
    const Request request = waiting_.at(user).front();
    start(user, request);
    leave(request.number);
    if (waiting_.contains(user)) { // it has had its turn
        std::erase(turns_, user);
        turns_.push_back(user);
    }
    return request.number;
}

void Model::leave(unsigned number) {
    for (auto& [user, requests] : waiting_)
        std::erase_if(requests, [&](const Request& request) { return request.number == number; });
    std::erase_if(waiting_, [](const auto& its) { return its.second.empty(); });
    std::erase_if(turns_, [&](const std::string& user) { return !waiting_.contains(user); });
}

std::vector<std::string> Model::queue() const {
    std::map<std::string, std::size_t> left;
    for (const auto& [user, requests] : waiting_) left[user] = requests.size();
    std::deque<std::string> turns = turns_;
    std::vector<std::string> order;
    while (!turns.empty()) {
        order.push_back(turns.front());
        turns.pop_front();
        if (--left[order.back()] > 0) turns.push_back(order.back());
    }
    return order;
}

// Else the first end may be enough for one that is not the next: for root, or for one that wants fewer lanes.
bool Model::order_of_ends_is_free() const {
    std::uint64_t lanes = lanes_granted();
    for (const auto& [user, requests] : waiting_)
        for (const Request& request : requests) lanes += request.grant.lanes;
    return lanes <= limits_.contexts && !waiting_.contains("root");
}

Model::Sums Model::sums(const std::string& user) const {
    Sums all;
    for (const auto& [number, session] : sessions_)
        if (user.empty() || users_.at(number) == user) add(all, session.grant());
    for (const auto& [whose, requests] : waiting_)
        for (const Request& request : requests)
            if (user.empty() || whose == user) add(all, request.grant);
    return all;
}

std::uint64_t Model::lanes_granted() const {
    return std::accumulate(sessions_.begin(), sessions_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const auto& each) { return sum + each.second.grant().lanes; });
}

std::size_t Model::in_flight() const {
    return std::accumulate(sessions_.begin(), sessions_.end(), std::size_t{0},
                           [](std::size_t sum, const auto& each) { return sum + each.second.in_flight(); });
}

} // namespace fastrpc::test
