// Openings: who is served when, what each refusal says, and that every path gives its charges back.
#include "tests/unit/broker/openings_fixture.hpp"

#include <random>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

#define EXPECT_MENTIONS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(OpeningsTest, a_full_dsp_is_busy_at_once_and_says_who_holds_it_and_when_to_come_again) {
    fill();
    const Request asked = ask(1);
    EXPECT_EQ(asked->error(), ErrorKind::busy);
    EXPECT_MENTIONS(asked->text(), "all 13 hardware sessions of cdsp that uid 1 may have are taken (14 in all; kept: 0 "
                                   "for static PDs, 1 for root)");
    EXPECT_MENTIONS(asked->text(), "held by: news 13");
    EXPECT_MENTIONS(asked->text(), "try again in 200 ms");
    EXPECT_FALSE(host_wanted());
}

TEST_F(OpeningsTest, who_waits_is_served_when_a_session_ends) {
    fill();
    const Request asked = ask(1, 60s);
    loop.settle();
    EXPECT_FALSE(asked->answer);
    EXPECT_EQ(quotas.queued.used(1), 1U);
    EXPECT_FALSE(host_wanted());
    end_one();
    FakeHost host = next_host();
    ASSERT_TRUE(host.ready());
    ASSERT_TRUE(loop.until([&] { return asked->open(); })) << asked->text();
    EXPECT_EQ(quotas.slots.used(Quotas::domain_key(Domain::cdsp)), 13U);
    loop.settle();
    EXPECT_EQ(quotas.queued.total() + quotas.opens.total(), 0U) << "it is no longer on its way";
}

TEST_F(OpeningsTest, uids_are_served_in_turn_and_their_own_requests_in_order) {
    fill();
    std::vector<Request> all;
    for (const std::uint32_t uid : {1U, 1U, 1U, 2U, 3U}) all.push_back(ask(uid, 60s));
    std::vector<std::uint32_t> order;
    std::vector<FakeHost> hosts;
    for (int i = 0; i < 5; ++i) {
        end_one();
        hosts.push_back(next_host());
        order.push_back(hosts.back().start.owner_uid);
    }
    EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 2, 3, 1, 1}));
}

TEST_F(OpeningsTest, places_tell_who_waits_where) {
    fill();
    const Request one = ask(1, 60s), two = ask(1, 60s), other = ask(2, 60s);
    const auto places = openings->places();
    ASSERT_EQ(places.size(), 3U);
    EXPECT_EQ(places[0].uid, 1U);
    EXPECT_EQ(places[1].uid, 2U);
    EXPECT_EQ(places[2].uid, 1U);
    EXPECT_EQ(places[2].position, 3U);
    EXPECT_EQ(places[2].domain, Domain::cdsp);
}

TEST_F(OpeningsTest, root_has_a_slot_that_nobody_else_gets_and_does_not_wait_for_it) {
    fill();
    const Request waiting = ask(1, 60s);
    const Request root = ask(0);
    const FakeHost host = next_host();
    EXPECT_EQ(host.start.owner_uid, 0U);
    EXPECT_EQ(ask(0)->error(), ErrorKind::busy) << "but it has only one";
    EXPECT_FALSE(waiting->answer);
}

TEST_F(OpeningsTest, a_static_pd_that_is_known_keeps_its_slot_while_it_is_away) {
    { ASSERT_TRUE(adopted(root_of(Domain::cdsp))); }
    ASSERT_TRUE(loop.until([&] { return !registry.find_pd(Domain::cdsp, PdKind::root)->link; }));
    fill(12);
    EXPECT_EQ(ask(1)->error(), ErrorKind::busy);
}

TEST_F(OpeningsTest, a_wait_that_is_over_says_how_long_it_was_and_how_near) {
    fill();
    const Request first = ask(1, 60s), second = ask(2, 50ms);
    ASSERT_TRUE(loop.until([&] { return second->answer.has_value(); }));
    EXPECT_EQ(second->error(), ErrorKind::timeout);
    EXPECT_MENTIONS(second->text(), "was number 2");
    EXPECT_MENTIONS(second->text(), "waited ");
    EXPECT_MENTIONS(second->text(), "held by: news 13");
    EXPECT_MENTIONS(second->text(), "60000");
    EXPECT_FALSE(first->answer);
    EXPECT_EQ(quotas.queued.used(2) + quotas.sessions.used(Quotas::session_key(2, Domain::cdsp)), 0U);
}

TEST_F(OpeningsTest, a_uid_has_so_many_places_in_the_queue_and_all_have_so_many) {
    fill();
    Limits two = roomy;
    two.queued_per_uid = 2;
    const Request first = ask(1, 60s, two), second = ask(1, 60s, two), third = ask(1, 60s, two);
    EXPECT_EQ(third->error(), ErrorKind::quota);
    EXPECT_MENTIONS(third->text(), "queued_per_uid");
    EXPECT_FALSE(second->answer);
    std::vector<Request> crowd;
    for (std::uint32_t uid = 10; quotas.queued.used(Quotas::all) < max_queued; ++uid)
        for (int i = 0; i < 60 && quotas.queued.used(Quotas::all) < max_queued; ++i) crowd.push_back(ask(uid, 60s));
    const Request last = ask(2, 60s);
    EXPECT_EQ(last->error(), ErrorKind::busy);
    EXPECT_MENTIONS(last->text(), "256 requests of all users");
}

TEST_F(OpeningsTest, whoever_leaves_the_bus_leaves_the_queue_and_others_move_up) {
    fill();
    const Request gone = ask(1, 60s, roomy, ":1.7"), other = ask(2, 60s);
    openings->forget(":1.7");
    ASSERT_EQ(openings->places().size(), 1U);
    EXPECT_EQ(openings->places()[0].uid, 2U);
    EXPECT_EQ(quotas.queued.used(1), 0U);
    end_one();
    EXPECT_EQ(next_host().start.owner_uid, 2U);
    EXPECT_FALSE(gone->answer);
}

TEST_F(OpeningsTest, whoever_leaves_while_several_of_its_hosts_start_disturbs_no_other) {
    fill(10);
    std::vector<Request> mine;
    for (int i = 0; i < 3; ++i) mine.push_back(ask(1, 60s, roomy, ":1.7"));
    const Request waits = ask(2, 60s), too = ask(1, 60s, roomy, ":1.7");
    openings->forget(":1.7"); // before any of them connected
    EXPECT_EQ(next_host().start.owner_uid, 2U);
    EXPECT_EQ(quotas.uid_lanes.used(1), 0U);
}

TEST_F(OpeningsTest, what_a_host_finds_full_is_first_again_and_tried_with_all_it_brought_after_a_pause) {
    const Request asked = ask(1, 60s), later = ask(2, 60s);
    FakeHost host = next_host(), other = next_host();
    ASSERT_EQ(host.start.owner_uid, 1U);
    refuse_slot(host);
    const auto refused = std::chrono::steady_clock::now();
    ASSERT_TRUE(loop.until([&] { return openings->places().size() == 1; }));
    EXPECT_FALSE(asked->answer);
    EXPECT_EQ(openings->places()[0].uid, 1U);
    EXPECT_EQ(registry.slots(Domain::cdsp).max(), 1U) << "that of the other one, which is being opened";
    const Request third = ask(3, 60s);
    FakeHost again = next_host();
    EXPECT_GE(std::chrono::steady_clock::now() - refused, 200ms - 5ms);
    EXPECT_EQ(again.start.owner_uid, 1U);
    EXPECT_EQ(again.directories.size(), 1U);
    EXPECT_NE(again.start.session_id, host.start.session_id);
    ASSERT_TRUE(again.ready());
    ASSERT_TRUE(loop.until([&] { return asked->open(); })) << asked->text();
}

TEST_F(OpeningsTest, a_host_that_finds_the_dsp_full_is_tried_again_at_once_when_a_session_ends) {
    fill(3);
    const Request asked = ask(1, 60s);
    FakeHost host = next_host();
    for (int i = 0; i < 2; ++i) { // so that the pause is a long one
        refuse_slot(host);
        host = next_host();
    }
    refuse_slot(host);
    ASSERT_TRUE(loop.until([&] { return openings->places().size() == 1; }));
    EXPECT_EQ(registry.slots(Domain::cdsp).max(), 3U);
    end_one();
    loop.settle();
    EXPECT_TRUE(openings->places().empty()) << "nobody waits for the end of a pause when something has changed";
    EXPECT_EQ(quotas.slots.used(Quotas::domain_key(Domain::cdsp)), 3U);
}

TEST_F(OpeningsTest, a_restart_of_the_dsp_makes_what_was_learned_void) {
    const Request asked = ask(1, 60s);
    FakeHost host = next_host();
    refuse_slot(host);
    ASSERT_TRUE(loop.until([&] { return openings->places().size() == 1; }));
    EXPECT_EQ(registry.slots(Domain::cdsp).max(), 0U);
    registry.set_devices(Domain::cdsp, {.nodes = {"/dev/fastrpc-cdsp"}});
    EXPECT_EQ(registry.slots(Domain::cdsp).max(), 14U);
    EXPECT_EQ(next_host().start.owner_uid, 1U);
}

TEST_F(OpeningsTest, without_a_wait_a_host_that_finds_the_dsp_full_is_the_answer) {
    const Request asked = ask(1);
    FakeHost host = next_host();
    refuse_slot(host);
    ASSERT_TRUE(loop.until([&] { return asked->answer.has_value(); }));
    EXPECT_EQ(asked->error(), ErrorKind::busy);
    EXPECT_MENTIONS(asked->text(), "all hardware sessions are taken");
    EXPECT_MENTIONS(asked->text(), "wait-ms");
}

TEST_F(OpeningsTest, a_wait_that_ends_while_a_host_starts_is_a_timeout_when_the_dsp_is_full) {
    const Request asked = ask(1, 30ms);
    FakeHost host = next_host();
    const auto end = std::chrono::steady_clock::now() + 40ms;
    ASSERT_TRUE(loop.until([&] { return std::chrono::steady_clock::now() > end; }));
    EXPECT_FALSE(asked->answer) << "its host is still starting";
    refuse_slot(host);
    ASSERT_TRUE(loop.until([&] { return asked->answer.has_value(); }));
    EXPECT_EQ(asked->error(), ErrorKind::timeout);
}

TEST_F(OpeningsTest, requests_beyond_the_rate_say_when_to_come_again_and_root_has_none) {
    Limits slow = roomy;
    slow.opens_per_minute = 6;
    EXPECT_TRUE(openings->count(1, slow));
    const Status second = openings->count(1, slow);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::busy);
    EXPECT_MENTIONS(second.error().text, "may ask for 6 sessions a minute");
    EXPECT_MENTIONS(second.error().text, "try again in ");
    EXPECT_TRUE(openings->count(2, slow));
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(openings->count(0, slow));
}

TEST_F(OpeningsTest, sums_of_a_uid_hold_over_all_domains_and_name_their_limit) {
    struct Row {
        std::function<void(Limits&)> set;
        std::string name;
    };
    std::uint32_t uid = 1;
    for (const auto& [set, name] : {Row{[](Limits& l) { l.lanes_per_uid = 3; }, "lanes_per_uid"},
                                    Row{[](Limits& l) { l.mapped_bytes_per_uid = 1999; }, "mapped_bytes_per_uid"},
                                    Row{[](Limits& l) { l.fds_per_uid = 2 * session_fds(l, 0) - 1; }, "fds_per_uid"}}) {
        Limits limits = roomy;
        set(limits);
        const Request first = ask(++uid, 0ms, limits), second = ask(uid, 60s, limits, ":1.1", Domain::adsp);
        EXPECT_FALSE(first->answer) << first->text();
        EXPECT_EQ(second->error(), ErrorKind::quota);
        EXPECT_MENTIONS(second->text(), name);
        EXPECT_FALSE(ask(uid + 100, 0ms, limits, ":1.1", Domain::adsp)->answer) << "others are not concerned";
    }
}

TEST_F(OpeningsTest, who_waits_for_lanes_does_not_stop_others_and_what_can_never_fit_does_not_wait) {
    fill(1);
    Limits most = roomy, all = roomy, beyond = roomy;
    most.lanes = 200;
    all.lanes = 222;
    beyond.lanes = 223;
    const Request first = ask(1, 0ms, most), second = ask(2, 60s, all), third = ask(3, 60s, beyond),
                  small = ask(4, 60s);
    EXPECT_FALSE(second->answer);
    EXPECT_EQ(third->error(), ErrorKind::quota);
    EXPECT_MENTIONS(third->text(), "of its 222 lanes left and 223 were asked for");
    FakeHost one = next_host(), two = next_host();
    EXPECT_EQ(one.start.owner_uid, 1U);
    EXPECT_EQ(two.start.owner_uid, 4U);
    EXPECT_EQ(ask(5, 0ms, all)->error(), ErrorKind::quota);
}

TEST_F(OpeningsTest, every_failure_of_a_host_gives_all_charges_back) {
    for (const ErrorKind kind : {ErrorKind::offline, ErrorKind::denied, ErrorKind::system, ErrorKind::timeout}) {
        const Request asked = ask(1, 60s);
        FakeHost host = next_host();
        host.say(ControlOp::failed, FailedMessage{kind, 0, "because"});
        ASSERT_TRUE(loop.until([&] { return asked->answer.has_value(); }));
        EXPECT_EQ(asked->error(), kind);
        loop.settle();
        EXPECT_EQ(all_charges(), 0U);
    }
    const Request asked = ask(1, 60s);
    { const FakeHost host = next_host(); }
    ASSERT_TRUE(loop.until([&] { return asked->answer.has_value(); }));
    loop.settle();
    EXPECT_EQ(all_charges(), 0U);
}

// Any order of requests, ends, refusals and departures: sums stay within their bounds, and all goes back to nothing.
TEST_F(OpeningsTest, random_interleavings_keep_every_sum_within_its_bound_and_return_to_nothing) {
    std::mt19937 random(11);
    std::vector<Request> asked;
    std::vector<FakeHost> starting;
    const auto pick = [&](std::size_t size) { return static_cast<std::size_t>(random() % size); };
    for (int step = 0; step < 1500; ++step) {
        switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
            const auto uid = static_cast<std::uint32_t>(random() % 4);
            asked.push_back(ask(uid, random() % 3 == 0 ? 0ms : std::chrono::milliseconds(random() % 100), roomy,
                                ":1." + std::to_string(random() % 6)));
            break;
        }
        case 3:
            openings->forget(":1." + std::to_string(random() % 6));
            break;
        case 4:
            if (!sessions.empty())
                sessions.erase(sessions.begin() + static_cast<std::ptrdiff_t>(pick(sessions.size())));
            break;
        default:
            if (starting.empty()) break;
            const auto at = starting.begin() + static_cast<std::ptrdiff_t>(pick(starting.size()));
            FakeHost host = std::move(*at);
            starting.erase(at);
            if (random() % 8 == 0)
                refuse_slot(host);
            else if (random() % 8 != 0 && host.ready())
                sessions.push_back(std::move(host)); // else it dies
        }
        loop.settle();
        while (host_wanted()) {
            starting.push_back(next_host());
            loop.settle();
        }
        for (const Request& one : asked)
            if (one->open()) add(*one);
        ASSERT_LE(quotas.slots.used(Quotas::domain_key(Domain::cdsp)), Slots::most);
        ASSERT_LE(quotas.opens.used(Quotas::all), max_opens);
        ASSERT_GE(quotas.slots.used(Quotas::domain_key(Domain::cdsp)), registry.sessions().size());
        ASSERT_EQ(quotas.lanes.total(), 2 * quotas.slots.total());
        ASSERT_GE(quotas.sessions.total(), quotas.slots.total());
    }
    for (int sender = 0; sender < 6; ++sender) openings->forget(":1." + std::to_string(sender));
    starting.clear();
    sessions.clear();
    EXPECT_TRUE(loop.until([&] { return all_charges() == 0; })) << all_charges();
    EXPECT_TRUE(openings->places().empty());
}
