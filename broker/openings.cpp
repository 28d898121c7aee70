#include "broker/openings.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::broker {
namespace {

using std::chrono::duration_cast, std::chrono::milliseconds;

constexpr milliseconds at_once{0};

Openings::Time clock_now() {
    return std::chrono::steady_clock::now();
}

std::uint64_t now_us() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

} // namespace

Openings::Openings(sd_event* loop, Quotas& quotas, Registry& registry, ReadyHosts& hosts) :
    loop_(loop), quotas_(quotas), registry_(registry), hosts_(hosts), reclaimer_(loop, registry) {
    registry_.watch_room([this](Domain) { turn_soon(); });
}

Openings::~Openings() {
    registry_.watch_room({});
}

Status Openings::count(std::uint32_t uid, const Limits& limits) {
    const milliseconds pause = uid == 0 ? at_once : rate_.take(uid, limits.opens_per_minute, clock_now());
    if (pause == at_once) return {};
    return fail(ErrorKind::busy, fmt::format("uid {} may ask for {} sessions a minute and has; try again in {} ms", uid,
                                             limits.opens_per_minute, pause.count()));
}

void Openings::open(Order order) {
    const Time now = clock_now();
    const std::uint32_t uid = order.message.owner_uid;
    const Domain domain = order.message.domain;
    auto charges = take_sums(quotas_, uid, domain, order.message.grant);
    if (!charges) return order.done(std::unexpected(charges.error()));

    const Ticket ticket = queue_.enter(domain, uid, now, now + order.wait);
    openings_.emplace(ticket,
                      Opening{.sender = std::move(order.sender),
                              .message = std::move(order.message),
                              .directories = std::make_shared<std::vector<UniqueFd>>(std::move(order.directories)),
                              .modules = std::move(order.modules),
                              .decide_again = std::move(order.decide_again),
                              .done = std::move(order.done),
                              .place = *queue_.find(ticket),
                              .charges = std::move(*charges),
                              .queued = {},
                              .start = nullptr});
    serve(domain, now);
    settle(ticket, order.wait, now);
}

// After its first turn: started, waiting, or refused.
void Openings::settle(Ticket ticket, milliseconds wait, Time now) {
    Opening& opening = openings_.at(ticket);
    if (opening.start) return;
    const Domain domain = opening.place.domain;
    const Room why = room(opening, now);
    const bool never =
        why == Room::lanes && opening.message.grant.limits.lanes > lane_limit(registry_.lost_contexts(domain));
    if (wait == at_once || never) {
        look_for_idle(domain, why == Room::slots || (why == Room::lanes && !never) ? 1 : 0, now);
        return refuse(ticket, no_room(opening, why, now));
    }
    if (const Status queued = queue_up(opening); !queued) return refuse(ticket, queued.error());
    look_for_idle(domain, 0, now);
    set_timer(now);
}

Status Openings::queue_up(Opening& opening) {
    const std::uint32_t uid = opening.place.uid;
    const std::uint64_t own = opening.message.grant.limits.queued_per_uid;
    for (const auto& [key, limit] : {std::pair<std::uint64_t, std::uint64_t>(uid, own), {Quotas::all, max_queued}}) {
        auto charge = quotas_.queued.take(key, 1, limit);
        if (!charge) {
            opening.queued.clear();
            return fail(key == Quotas::all ? ErrorKind::busy : ErrorKind::quota,
                        fmt::format("{} requests {} wait for a DSP already; {}{}", limit,
                                    key == Quotas::all ? "of all users" : fmt::format("of uid {}", uid),
                                    key == Quotas::all ? "try again in a second"
                                                       : "wait for one of them, or raise the rule's limit "
                                                         "\"queued_per_uid\"",
                                    holders(opening.place.domain)));
        }
        opening.queued.push_back(std::move(*charge));
    }
    return {};
}

Openings::Room Openings::room(const Opening& opening, Time now) const {
    const Domain domain = opening.place.domain;
    if (quotas_.opens.used(opening.place.uid) >= max_opens_per_uid) return Room::own_opens;
    if (quotas_.opens.used(Quotas::all) >= max_opens) return Room::all_opens;
    const std::uint64_t lanes = quotas_.lanes.used(Quotas::domain_key(domain)) + opening.message.grant.limits.lanes;
    if (lanes > lane_limit(registry_.lost_contexts(domain))) return Room::lanes;
    switch (registry_.slots(domain).may_start(registry_.slots_used(domain), opening.place.uid == 0, now)) {
    case Slots::Answer::yes:
        return Room::yes;
    case Slots::Answer::retry:
        return Room::retry;
    case Slots::Answer::no:
        break;
    }
    return Room::slots;
}

// Each in turn as long as there is room for one of them.
void Openings::serve(Domain domain, Time now) {
    registry_.note_time(domain, now);
    for (;;) {
        Room found = Room::slots;
        const auto waiter = queue_.next(domain, [&](const AdmissionQueue::Waiter& candidate) {
            found = room(openings_.at(candidate.ticket), now);
            return found == Room::yes || found == Room::retry;
        });
        if (!waiter) return;
        if (found == Room::retry) registry_.note_try(domain, now);
        start(openings_.at(waiter->ticket));
    }
}

void Openings::start(Opening& opening) {
    const std::uint32_t uid = opening.place.uid;
    const Domain domain = opening.place.domain;
    opening.message.session_id = registry_.new_session_id();
    opening.message.opened_us = now_us();
    HostOrder order{.hosts = hosts_,
                    .message = opening.message,
                    .directories = opening.directories,
                    .modules = opening.modules,
                    .charges = std::move(opening.charges),
                    .open_charges = {}};
    order.charges.slot = quotas_.slots.record(Quotas::domain_key(domain), 1);
    order.charges.lanes = quotas_.lanes.record(Quotas::domain_key(domain), opening.message.grant.limits.lanes);
    order.open_charges.push_back(quotas_.opens.record(uid, 1));
    order.open_charges.push_back(quotas_.opens.record(Quotas::all, 1));
    const Ticket ticket = opening.place.ticket;
    opening.start = std::make_unique<HostStart>(
        loop_, std::move(order),
        HostStart::Events{.done = [this, ticket](Result<StartedHost> host) { on_done(ticket, std::move(host)); },
                          .over = [this, ticket] { on_over(ticket); }});
}

void Openings::on_done(Ticket ticket, Result<StartedHost> host) {
    Opening& opening = openings_.at(ticket);
    if (host || host.error().kind != ErrorKind::busy) return opening.done(std::move(host));
    const Domain domain = opening.place.domain;
    const Time now = clock_now();
    SessionCharges charges = opening.start->take_charges();
    charges.slot.give_back(); // it never had one
    charges.lanes.give_back();
    registry_.note_full(domain, now);
    if (opening.place.deadline > now) {
        const Status queued = opening.queued.empty() ? queue_up(opening) : Status();
        if (!queued) return opening.done(std::unexpected(queued.error()));
        opening.charges = std::move(charges);
        opening.again = true;
        return;
    }
    look_for_idle(domain, 1, now);
    if (opening.place.deadline > opening.place.since) return opening.done(std::unexpected(too_late(opening, now, 1)));
    opening.done(std::unexpected(refused_by_host(std::move(host.error()), domain)));
}

// The end of a start makes room for others, too, for those of its uid at least.
void Openings::on_over(Ticket ticket) {
    const auto found = openings_.find(ticket);
    found->second.start.reset();
    if (std::exchange(found->second.again, false)) {
        queue_.put_back(found->second.place);
        if (found->second.stale) renew(ticket);
    } else {
        openings_.erase(found);
    }
    turn_soon();
}

void Openings::refuse(Ticket ticket, Error error) {
    queue_.leave(ticket);
    const auto opening = openings_.extract(ticket); // its charges go after the answer
    opening.mapped().done(std::unexpected(std::move(error)));
}

void Openings::forget(const std::string& sender) {
    for (auto next = openings_.begin(); next != openings_.end();) {
        const auto entry = next++; // abandon() may erase it
        if (entry->second.sender != sender) continue;
        if (entry->second.start) {
            entry->second.start->abandon("the client left the bus before its session was open");
        } else {
            queue_.leave(entry->first);
            openings_.erase(entry);
        }
    }
}

void Openings::turn_soon() {
    if (queue_.size() > 0) timer_ = Source::timer(loop_, at_once, [this] { turn(); });
}

void Openings::turn() {
    const Time now = clock_now();
    expire(now);
    for (const Domain domain : all_domains) {
        if (queue_.size(domain) == 0) continue;
        serve(domain, now);
        look_for_idle(domain, 0, now);
    }
    set_timer(now);
}

void Openings::expire(Time now) {
    for (const auto& [waiter, position] : queue_.expire(now)) {
        const auto opening = openings_.extract(waiter.ticket);
        opening.mapped().done(std::unexpected(too_late(opening.mapped(), now, position)));
    }
}

// Places are wanted by those who wait for a slot or for lanes, and by `more` who do not wait.
void Openings::look_for_idle(Domain domain, std::size_t more, Time now) {
    const auto waiters = queue_.waiters(domain);
    const auto wanting = std::ranges::count_if(waiters, [&](const AdmissionQueue::Waiter& waiter) {
        const Room why = room(openings_.at(waiter.ticket), now);
        return why == Room::slots || why == Room::lanes;
    });
    if (const std::size_t wanted = static_cast<std::size_t>(wanting) + more; wanted > 0)
        reclaimer_.want(domain, wanted);
}

void Openings::set_timer(Time now) {
    const auto deadline = queue_.first_deadline();
    if (!deadline) return timer_.reset();
    Time due = std::min(*deadline, now + look_again);
    for (const Domain domain : all_domains) {
        const Time retry = registry_.slots(domain).retry_at();
        if (queue_.size(domain) > 0 && retry > now) due = std::min(due, retry);
    }
    timer_ = Source::timer(loop_, std::chrono::ceil<milliseconds>(std::max(due, now) - now), [this] { turn(); });
}

std::vector<Openings::Place> Openings::places() const {
    const Time now = clock_now();
    std::vector<Place> places;
    for (const Domain domain : all_domains) {
        std::size_t position = 0;
        for (const AdmissionQueue::Waiter& waiter : queue_.waiters(domain))
            places.push_back({domain, waiter.uid, duration_cast<milliseconds>(now - waiter.since), ++position});
    }
    return places;
}

} // namespace fastrpc::broker
