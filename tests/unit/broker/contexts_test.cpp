// The budget of contexts: what may be granted, what is lost, and that the sum never exceeds what the DSP has.
#include "broker/charge.hpp"
#include "broker/contexts.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace fastrpc;
using namespace fastrpc::broker;

namespace {

Description host(std::uint32_t pid, std::uint32_t lanes, std::string profile = "misc 6.12") {
    return {.domain = Domain::cdsp,
            .pid = pid,
            .node = "/dev/fastrpc-cdsp",
            .grant = {.limits = {.lanes = lanes}},
            .backend = "misc",
            .profile = std::move(profile)};
}

} // namespace

TEST(Contexts, lanes_of_sessions_leave_the_reserve_of_listeners_and_of_the_kernel) {
    EXPECT_EQ(lane_limit(0) + contexts_reserved, contexts_max);
    EXPECT_GE(contexts_reserved, 2U * 14) << "14 PDs, each with a listener and a call of the kernel";
    EXPECT_EQ(lane_limit(contexts_max), 0U);
    for (std::uint32_t lost = 0; lost <= contexts_max; ++lost)
        EXPECT_LE(lane_limit(lost) + contexts_reserved + lost, std::max(contexts_max, contexts_reserved + lost));
}

TEST(Contexts, kernels_that_lose_ids_are_told_by_the_profile_and_doubt_counts_as_yes) {
    const std::pair<const char*, bool> cases[] = {
        {"misc 6.1", false},    {"6.11.9", false},    {"misc, 5.15 or older", false},
        {"misc 6.12", true},    {"6.12.117-1", true}, {"Linux 6.18, new", true},
        {"7.0", true},          {"", true},           {"misc", true},
        {"kernel six", true},   {"v6.", true},        {"static 1, 6.1", false},
        {"99999999999.1", true}};
    for (const auto& [profile, loses] : cases) EXPECT_EQ(loses_contexts(host(1, 4, profile)), loses) << profile;
    Description accel = host(1, 4, "");
    accel.backend = "accel";
    EXPECT_FALSE(loses_contexts(accel));
}

TEST(Contexts, a_host_without_a_node_leaves_nothing_and_nobody_leaves_more_than_it_had) {
    Description waiting = host(1, 4);
    waiting.node.clear();
    EXPECT_EQ(left_behind(waiting, nullptr), 0U);
    EXPECT_EQ(left_behind(host(1, 4), nullptr), 5U);
    const Counters some{.in_flight = 2}, absurd{.in_flight = 4000000000U};
    EXPECT_EQ(left_behind(host(1, 4), &some), 2U);
    EXPECT_EQ(left_behind(host(1, 4), &absurd), 12U);
    EXPECT_EQ(left_behind(host(1, 4, "6.1"), &some), 0U);
    EXPECT_EQ(admitted(host(1, 4), 4000000000U), 12U);
    EXPECT_EQ(admitted(host(1, 0xFFFFFFFF), 0xFFFFFFFF), contexts_max + 8);
}

TEST(Contexts, a_thousand_losses_saturate_and_a_restart_gives_all_back) {
    LostContexts lost;
    for (std::uint32_t i = 0; i < 1000; ++i) lost.add(Domain::cdsp, 0xFFFFFFFF);
    EXPECT_EQ(lost.of(Domain::cdsp), contexts_max);
    EXPECT_EQ(lost.of(Domain::adsp), 0U);
    lost.presume(host(7, 4), 5);
    lost.is_back(host(7, 4));
    EXPECT_EQ(lost.of(Domain::cdsp), contexts_max) << "what was not added is not taken away";
    lost.forget(Domain::cdsp);
    EXPECT_EQ(lost.of(Domain::cdsp), 0U);
}

// A model of the DSP's ids beside the books: sessions take lanes, use them, end well, end badly, come back; the DSP
// restarts. However it goes, a lane that was granted finds an id.
TEST(Contexts, whatever_happens_every_granted_lane_and_the_reserve_have_an_id) {
    struct Living {
        Description about;
        Charge lanes;
    };
    std::mt19937 engine(11);
    const auto below = [&](std::uint32_t end) { return static_cast<std::uint32_t>(engine() % end); };
    Ledger ledger;
    LostContexts lost;
    std::vector<Living> living;
    std::vector<Description> vanished; // of this generation
    std::uint32_t truly_lost = 0, pid = 0, refused = 0;
    for (int round = 0; round < 20000; ++round) {
        const std::uint32_t roll = below(100);
        if (roll < 45) {
            const std::uint32_t wanted = 1 + below(32);
            auto charge = ledger.take(0, wanted, lane_limit(lost.of(Domain::cdsp)));
            if (charge)
                living.push_back({host(++pid, wanted), std::move(*charge)});
            else
                ++refused;
        } else if (roll < 97 && !living.empty()) {
            std::swap(living[below(static_cast<std::uint32_t>(living.size()))], living.back());
            Living end = std::move(living.back());
            living.pop_back();
            const std::uint32_t had = end.about.grant.limits.lanes;
            if (roll < 75) { // ends with all its calls over
                lost.add(Domain::cdsp, admitted(end.about, 0));
            } else if (roll < 88) { // leaves calls inside, and says so
                const std::uint32_t left = below(had + 1);
                truly_lost += left;
                lost.add(Domain::cdsp, admitted(end.about, left));
            } else if (roll < 93) { // is killed; at worst every lane and the listener was inside
                truly_lost += below(had + 2);
                lost.presume(end.about, left_behind(end.about, nullptr));
            } else { // only its connection is gone
                lost.presume(end.about, left_behind(end.about, nullptr));
                vanished.push_back(end.about);
            }
        } else if (roll == 97 && !vanished.empty()) {
            lost.is_back(vanished.back());
            living.push_back({vanished.back(), ledger.record(0, vanished.back().grant.limits.lanes)});
            vanished.pop_back();
        } else if (roll == 98) {
            lost.forget(Domain::cdsp);
            truly_lost = 0;
            vanished.clear();
        }
        ASSERT_GE(lost.of(Domain::cdsp), std::min(truly_lost, contexts_max));
        // Hosts that come back are let in above the limit; a new grant is not.
        if (const auto probe = ledger.take(0, 1, lane_limit(lost.of(Domain::cdsp)))) {
            ASSERT_LE(ledger.used(0) + truly_lost + contexts_reserved, contexts_max);
        }
    }
    EXPECT_GT(refused, 100U) << "the limit was never reached: the test shows nothing";
}
