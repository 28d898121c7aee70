// The queue for a DSP, with a clock of the test's own: turns, deadlines, places, and a model beside it.
#include "broker/admission.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace std::chrono_literals;

namespace {

using Ticket = AdmissionQueue::Ticket;
using Waiter = AdmissionQueue::Waiter;

class Admission : public testing::Test {
protected:
    AdmissionQueue queue;
    AdmissionQueue::Time start; ///< of the clock, which only moves by hand

    Ticket enter(std::uint32_t uid, std::chrono::milliseconds wait = 1h, Domain domain = Domain::cdsp) {
        return queue.enter(domain, uid, start, start + wait);
    }
    std::optional<Waiter> next(Domain domain = Domain::cdsp) {
        return queue.next(domain, [](const Waiter&) { return true; });
    }
    /// Uids in the order in which they are served.
    std::vector<std::uint32_t> serve_all() {
        std::vector<std::uint32_t> order;
        while (const auto waiter = next()) order.push_back(waiter->uid);
        return order;
    }
};

using Uids = std::vector<std::uint32_t>;

} // namespace

TEST_F(Admission, uids_take_turns_and_a_uids_own_requests_keep_their_order) {
    const Ticket first = enter(1), second = enter(1), third = enter(1);
    enter(2);
    enter(3);
    enter(2);
    EXPECT_EQ(next()->ticket, first);
    EXPECT_EQ(next()->uid, 2U);
    EXPECT_EQ(next()->uid, 3U);
    EXPECT_EQ(next()->ticket, second);
    EXPECT_EQ(next()->uid, 2U);
    EXPECT_EQ(next()->ticket, third);
    EXPECT_FALSE(next());
}

TEST_F(Admission, a_flood_of_one_uid_delays_another_by_one_of_its_requests) {
    for (int i = 0; i < 60; ++i) enter(1);
    ASSERT_EQ(next()->uid, 1U); // and the flood is in the middle of being served
    const Ticket other = enter(2);
    EXPECT_EQ(queue.position(other), 2U);
    EXPECT_EQ(next()->uid, 1U);
    EXPECT_EQ(next()->ticket, other);
}

TEST_F(Admission, domains_have_queues_of_their_own) {
    enter(1);
    const Ticket other = enter(1, 1h, Domain::adsp);
    EXPECT_EQ(queue.position(other), 1U);
    EXPECT_EQ(next(Domain::adsp)->ticket, other);
    EXPECT_EQ(queue.size(Domain::adsp), 0U);
    EXPECT_EQ(queue.size(Domain::cdsp), 1U);
    EXPECT_FALSE(next(Domain::sdsp));
}

TEST_F(Admission, a_uid_that_may_not_start_keeps_its_turn_and_does_not_stop_others) {
    const Ticket blocked = enter(1), blocked_too = enter(1), other = enter(2), more = enter(2);
    const auto without = [](const Waiter& waiter) { return waiter.uid != 1; };
    EXPECT_EQ(queue.next(Domain::cdsp, without)->ticket, other);
    EXPECT_EQ(next()->ticket, blocked) << "its turn was not lost";
    EXPECT_EQ(next()->ticket, more);
    EXPECT_EQ(next()->ticket, blocked_too);
}

TEST_F(Admission, what_could_not_be_served_is_first_again) {
    enter(1);
    enter(1);
    enter(2);
    const Waiter first = *next();
    queue.put_back(first);
    EXPECT_EQ(queue.position(first.ticket), 1U);
    EXPECT_EQ(next()->ticket, first.ticket);
    EXPECT_EQ(serve_all(), (Uids{2, 1}));
}

TEST_F(Admission, several_of_one_uid_that_come_back_are_in_their_old_order) {
    enter(1);
    enter(1);
    const Waiter first = *next(), second = *next();
    queue.put_back(first);
    queue.put_back(second);
    EXPECT_EQ(next()->ticket, first.ticket);
    EXPECT_EQ(next()->ticket, second.ticket);
}

TEST_F(Admission, exactly_those_whose_deadline_has_passed_are_late_with_the_place_that_they_had) {
    const Ticket early = enter(1, 10ms), late = enter(1, 30ms), other = enter(2, 20ms);
    EXPECT_EQ(queue.first_deadline(), start + 10ms);
    EXPECT_TRUE(queue.expire(start + 9ms).empty());
    const auto expired = queue.expire(start + 20ms);
    ASSERT_EQ(expired.size(), 2U);
    std::map<Ticket, std::size_t> places;
    for (const auto& [waiter, position] : expired) places[waiter.ticket] = position;
    EXPECT_EQ(places, (std::map<Ticket, std::size_t>{{early, 1}, {other, 2}}));
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(queue.position(late), 1U);
    EXPECT_EQ(queue.first_deadline(), start + 30ms);
}

TEST_F(Admission, who_leaves_is_forgotten_and_an_empty_queue_knows_nobody) {
    const Ticket one = enter(1), two = enter(2);
    EXPECT_TRUE(queue.leave(one));
    EXPECT_FALSE(queue.leave(one));
    EXPECT_EQ(queue.position(one), 0U);
    EXPECT_EQ(queue.find(one), nullptr);
    EXPECT_EQ(queue.position(two), 1U);
    EXPECT_TRUE(queue.leave(two));
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_FALSE(queue.first_deadline());
}

TEST_F(Admission, positions_are_the_order_in_which_all_are_served) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        std::vector<Ticket> all;
        for (auto count = 1 + random() % 30; count > 0; --count) {
            all.push_back(enter(static_cast<std::uint32_t>(random() % 5)));
            if (random() % 4 == 0) {
                const Waiter served = *next();
                std::erase(all, served.ticket);
                if (random() % 3 == 0) queue.put_back(served), all.push_back(served.ticket);
            }
        }
        const auto listed = queue.waiters(Domain::cdsp);
        ASSERT_EQ(listed.size(), all.size());
        for (std::size_t i = 0; i < listed.size(); ++i) {
            ASSERT_EQ(queue.position(listed[i].ticket), i + 1);
            const auto served = listed[i].ticket;
            ASSERT_NE(std::ranges::find(all, served), all.end());
        }
        for (const Waiter& expected : listed) ASSERT_EQ(next()->ticket, expected.ticket);
    }
}

// Sessions of a scaled hour: 14 slots, 40 clients of 8 uids, each of which wants one again and again.
TEST_F(Admission, forty_clients_at_fourteen_slots_are_all_served_and_no_uid_waits_a_second_round) {
    constexpr std::uint32_t uids = 8, clients = 40, slots = 14;
    std::mt19937 random(3);
    std::map<Ticket, std::uint32_t> client_of;
    std::map<std::uint32_t, int> served;            // per client
    std::map<std::uint32_t, Uids> served_meanwhile; // per uid with a request that waits: who was served since
    std::multimap<AdmissionQueue::Time, std::uint32_t> running;
    AdmissionQueue::Time now = start;
    const auto ask = [&](std::uint32_t client) {
        client_of[queue.enter(Domain::cdsp, client % uids, now, now + 10h)] = client;
        served_meanwhile.try_emplace(client % uids);
    };
    for (std::uint32_t client = 0; client < clients; ++client) ask(client);
    while (now < start + 1h) {
        while (running.size() < slots) {
            const auto waiter = next();
            if (!waiter) break;
            for (auto& [uid, others] : served_meanwhile)
                if (uid != waiter->uid) {
                    others.push_back(waiter->uid);
                    ASSERT_LE(std::ranges::count(others, waiter->uid), 1) << "a second one before uid " << uid;
                }
            served_meanwhile.erase(waiter->uid);
            const std::uint32_t client = client_of.at(waiter->ticket);
            ++served[client];
            running.emplace(now + std::chrono::milliseconds(500 + random() % 20000), client);
            for (const Waiter& still : queue.waiters(Domain::cdsp)) served_meanwhile.try_emplace(still.uid);
        }
        now = running.begin()->first;
        const std::uint32_t done = running.begin()->second;
        running.erase(running.begin());
        ask(done);
    }
    ASSERT_EQ(served.size(), clients);
    const auto [least, most] = std::ranges::minmax_element(served, {}, [](const auto& entry) { return entry.second; });
    EXPECT_GT(least->second, 50);
    EXPECT_LE(most->second, least->second * 2) << "nobody gets much more than another";
}
