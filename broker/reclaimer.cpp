#include "broker/reclaimer.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::broker {

Session* Reclaimer::session(std::uint64_t id) {
    return registry_.find_session(id);
}

std::size_t Reclaimer::leaving(Domain domain) const {
    return static_cast<std::size_t>(std::ranges::count_if(registry_.sessions(), [&](const auto& entry) {
        return entry.second.about.domain == domain && leaving_.contains(entry.first);
    }));
}

void Reclaimer::want(Domain domain, std::size_t wanted) {
    std::erase_if(leaving_, [&](const auto& entry) { return !registry_.sessions().contains(entry.first); });
    if (wanted <= leaving(domain)) return;
    if (const auto running = surveys_[domain].lock()) {
        running->wanted = std::max(running->wanted, wanted);
        return;
    }
    const std::weak_ptr<int> alive = alive_;
    const std::shared_ptr<Survey> survey(new Survey{wanted, {}}, [this, alive, domain](Survey* done) {
        const std::unique_ptr<Survey> owner(done); // the last host has answered
        if (!alive.expired()) on_surveyed(domain, std::move(*done));
    });
    surveys_[domain] = survey;
    std::vector<std::pair<std::uint64_t, HostLink*>> asked; // an answer at once must not find us in the list
    for (const auto& [id, one] : registry_.sessions()) {
        const bool reclaimable = one.about.grant.limits.reclaim_idle_ms != 0 && one.state() == "ready";
        if (one.about.domain == domain && reclaimable && !leaving_.contains(id)) asked.emplace_back(id, one.link.get());
    }
    for (const auto& [id, link] : asked)
        link->query([survey, id = id](const Result<Counters>& counters) {
            if (counters) survey->idle.push_back({id, *counters});
        });
}

void Reclaimer::on_surveyed(Domain domain, Survey survey) {
    std::erase_if(survey.idle, [&](const Idle& idle) {
        const Session* one = session(idle.id);
        return one == nullptr || one->state() != "ready" ||
               idle.counters.idle_ms < one->about.grant.limits.reclaim_idle_ms;
    });
    std::ranges::sort(survey.idle, std::ranges::greater{}, [](const Idle& idle) { return idle.counters.idle_ms; });
    for (const Idle& idle : survey.idle) {
        if (leaving(domain) >= survey.wanted) break;
        ask_to_leave(idle);
    }
}

void Reclaimer::ask_to_leave(const Idle& idle) {
    Session& one = *session(idle.id);
    const std::string text =
        fmt::format("others wait for a session on {}, and this one made no call for {} ms: call or close within {} ms",
                    to_string(one.about.domain), idle.counters.idle_ms, patience_.count());
    const LeaveMessage message{static_cast<std::uint32_t>(patience_.count()), text};
    if (const Status asked = one.link->leave(message); !asked) {
        log::warning(fmt::format("session {} cannot be asked to leave: {}", one.key, asked.error().text));
        return;
    }
    leaving_[idle.id] = {idle.counters.calls,
                         Source::timer(loop_, patience_, [this, id = idle.id] { on_grace_over(id); })};
}

void Reclaimer::on_grace_over(std::uint64_t id) {
    Session* one = session(id);
    if (one == nullptr) {
        leaving_.erase(id);
        return;
    }
    one->link->query([this, id, alive = std::weak_ptr<int>(alive_)](const Result<Counters>& counters) {
        if (alive.expired()) return;
        if (counters)
            decide(id, *counters);
        else
            leaving_.erase(id);
    });
}

void Reclaimer::decide(std::uint64_t id, const Counters& counters) {
    const auto asked = leaving_.extract(id);
    Session* one = session(id);
    if (asked.empty() || one == nullptr || one->state() != "ready") return;
    const bool called = counters.calls != asked.mapped().calls;
    if (called || counters.idle_ms < one->about.grant.limits.reclaim_idle_ms) return; // it has a use again
    const std::string text = fmt::format("reclaimed: it made no call for {} ms while others waited for {}",
                                         counters.idle_ms, to_string(one->about.domain));
    if (const Status ended = registry_.end(*one, LostReason::reclaimed, text); !ended) {
        log::warning(fmt::format("session {} cannot be reclaimed: {}", one->key, ended.error().text));
        return;
    }
    log::info(fmt::format("session {} of uid {} was {}", one->key, one->about.owner_uid, text),
              {{"FASTRPC_DOMAIN", std::string(to_string(one->about.domain))}});
}

} // namespace fastrpc::broker
