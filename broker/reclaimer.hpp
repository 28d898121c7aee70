// Places for those who wait: idle sessions are asked to leave, and ended when they do neither that nor make a call.
//
// Only a session whose rule says after how long (reclaim_idle_ms) is ever asked, the longest idle first, and no more
// than are waited for.
#pragma once

#include "broker/event.hpp"
#include "broker/registry.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <vector>

namespace fastrpc::broker {

class Reclaimer {
public:
    static constexpr std::chrono::milliseconds grace{2000};

    Reclaimer(sd_event* loop, Registry& registry, std::chrono::milliseconds patience = grace) :
        loop_(loop), registry_(registry), patience_(patience) {}

    /// `wanted` places on `domain` are waited for.
    void want(Domain domain, std::size_t wanted);
    /// Sessions that will have left within the grace, unless they make a call.
    [[nodiscard]] std::size_t leaving(Domain domain) const;

private:
    struct Idle {
        std::uint64_t id = 0;
        Counters counters;
    };
    struct Survey { ///< what the hosts of one domain say of their idleness
        std::size_t wanted = 0;
        std::vector<Idle> idle;
    };
    struct Leaving {
        std::uint64_t calls = 0; ///< made before it was asked
        Source end_of_grace;
    };
    void on_surveyed(Domain domain, Survey survey);
    void ask_to_leave(const Idle& idle);
    void on_grace_over(std::uint64_t id);
    void decide(std::uint64_t id, const Counters& counters);
    [[nodiscard]] Session* session(std::uint64_t id);

    sd_event* loop_;
    Registry& registry_;
    std::chrono::milliseconds patience_;
    std::map<Domain, std::weak_ptr<Survey>> surveys_;
    std::map<std::uint64_t, Leaving> leaving_;              ///< per session
    std::shared_ptr<int> alive_ = std::make_shared<int>(0); ///< hosts answer after this object's end, too
};

} // namespace fastrpc::broker
