// The queue of those who wait for a DSP: who is next, and where everybody stands.
//
// Each DSP serves uids in turn, and each uid's requests in the order in which they came: however many one uid has, it
// delays another's first request by one of its own. Nothing here knows of sockets, D-Bus or clocks; times are handed
// in.
#pragma once

#include "ipc/domain.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <vector>

namespace fastrpc::broker {

class AdmissionQueue {
public:
    using Time = std::chrono::steady_clock::time_point;
    using Ticket = std::uint64_t;

    struct Waiter {
        Ticket ticket = 0;
        Domain domain = Domain::cdsp;
        std::uint32_t uid = 0;
        Time since;    ///< when it came
        Time deadline; ///< when it will wait no longer
    };

    /// A request that comes.
    Ticket enter(Domain domain, std::uint32_t uid, Time now, Time deadline);
    /// One that next() gave and that was not served after all: it is the first of its uid again, and its uid the first
    /// of its DSP.
    void put_back(const Waiter& waiter);
    /// It waits no longer; false when it did not wait.
    bool leave(Ticket ticket);

    /// Whose turn it is among those whose first request `may_start`; it waits no longer. A uid whose request may not
    /// start keeps its turn.
    std::optional<Waiter> next(Domain domain, const std::function<bool(const Waiter&)>& may_start);
    /// Those whose deadline is `now` or before, as they stood: they wait no longer.
    struct Expired {
        Waiter waiter;
        std::size_t position = 0;
    };
    std::vector<Expired> expire(Time now);

    /// How many are served before it if all wait on, plus 1; 0 when it does not wait.
    [[nodiscard]] std::size_t position(Ticket ticket) const;
    [[nodiscard]] const Waiter* find(Ticket ticket) const;
    /// In the order in which they will be served.
    [[nodiscard]] std::vector<Waiter> waiters(Domain domain) const;
    [[nodiscard]] std::size_t size(Domain domain) const;
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::optional<Time> first_deadline() const;

private:
    /// The requests of one uid, never empty, in the order in which they came.
    struct Line {
        std::uint32_t uid = 0;
        std::deque<Waiter> waiters;
    };
    /// The uid at the front is next.
    std::map<Domain, std::list<Line>> lines_;
    Ticket last_ = 0;
};

} // namespace fastrpc::broker
