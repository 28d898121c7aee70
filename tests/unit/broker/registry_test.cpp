// The registry against fake hosts on real sockets: what hosts say is believed as far as it may be, and not further.
#include "tests/unit/broker/registry_fixture.hpp"

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

TEST_F(RegistryTest, a_session_that_came_back_is_listed_with_its_charges) {
    const auto host = adopted(session_of(42, 1000, 5));
    ASSERT_TRUE(host);
    const Session* session = registry.find_session("s000000000000002a");
    ASSERT_NE(session, nullptr);
    EXPECT_EQ(session->about.label, "test");
    EXPECT_EQ(session->state(), "ready");
    EXPECT_EQ(quotas.lanes.used(static_cast<std::uint8_t>(Domain::cdsp)), 5U);
    EXPECT_EQ(quotas.sessions.used(Quotas::session_key(1000, Domain::cdsp)), 1U);
    ASSERT_NE(registry.find_domain(Domain::cdsp), nullptr);
    EXPECT_EQ(registry.find_domain(Domain::cdsp)->sessions_used, 1U);
}

TEST_F(RegistryTest, sessions_come_back_even_above_their_limits) {
    std::vector<FakeHost> hosts;
    for (std::uint64_t id = 1; id <= 3; ++id) { // the grant allows 2
        auto host = adopted(session_of(id, 1000, 200));
        ASSERT_TRUE(host);
        hosts.push_back(std::move(*host));
    }
    EXPECT_EQ(registry.sessions().size(), 3U);
    EXPECT_EQ(quotas.lanes.used(static_cast<std::uint8_t>(Domain::cdsp)), 600U);
}

TEST_F(RegistryTest, a_second_host_for_a_session_is_rejected) {
    const auto first = adopted(session_of(42, 1000));
    ASSERT_TRUE(first);
    const auto second = adopted(session_of(42, 1000));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::denied);
    EXPECT_EQ(registry.sessions().size(), 1U);
    EXPECT_EQ(quotas.lanes.used(static_cast<std::uint8_t>(Domain::cdsp)), 4U);
}

TEST_F(RegistryTest, a_second_host_for_a_static_pd_is_rejected_and_told_who_has_it) {
    const auto first = adopted(root_of(Domain::adsp));
    ASSERT_TRUE(first);
    const auto second = adopted(root_of(Domain::adsp));
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().text.find("4711"), std::string::npos) << second.error().text;
    EXPECT_TRUE(adopted(root_of(Domain::cdsp))) << "another domain is another PD";
}

TEST_F(RegistryTest, a_host_whose_old_connection_is_dead_but_not_yet_noticed_may_come_back) {
    {
        ASSERT_TRUE(adopted(root_of(Domain::adsp)));
        ASSERT_TRUE(adopted(session_of(42, 1000)));
    } // both connections end, and the loop has not run
    const auto root = adopted(root_of(Domain::adsp));
    const auto session = adopted(session_of(42, 1000));
    ASSERT_TRUE(root) << root.error().text;
    ASSERT_TRUE(session) << session.error().text;
    loop.settle();
    EXPECT_TRUE(registry.find_pd(Domain::adsp, PdKind::root)->link);
    EXPECT_EQ(registry.sessions().size(), 1U);
    EXPECT_EQ(quotas.lanes.used(static_cast<std::uint8_t>(Domain::cdsp)), 4U);
}

TEST_F(RegistryTest, a_session_goes_with_its_bye_and_gives_its_charges_back) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    ASSERT_TRUE(host->bye("the client closed the session", {.calls = 11, .bytes = 22}));
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_EQ(quotas.lanes.keys() + quotas.sessions.keys(), 0U);
    EXPECT_TRUE(seen.saw("session-"));
    EXPECT_TRUE(seen.saw("lost: the client closed the session"));
    std::uint64_t calls = 0;
    registry.collect_totals([&](const Totals& totals) { calls = totals.counters.calls; });
    EXPECT_EQ(calls, 11U) << "the counters of ended sessions stay in the totals";
}

TEST_F(RegistryTest, how_long_calls_took_outlives_their_sessions_by_domain_and_kind) {
    for (const std::uint64_t id : {42, 43}) {
        auto host = adopted(session_of(id, 1000));
        ASSERT_TRUE(host);
        Latency latency{.sum_ns = 5000};
        latency.calls[3] = id;
        ASSERT_TRUE(host->say(ControlOp::latency, latency));
        ASSERT_TRUE(host->bye("the client closed the session", {.calls = id}));
        ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    }
    std::optional<Totals> totals;
    registry.collect_totals([&](const Totals& sum) { totals = sum; });
    ASSERT_TRUE(totals);
    ASSERT_EQ(totals->sessions.size(), 1U);
    const SessionTotals& kind = totals->sessions.at({Domain::cdsp, PdKind::unsigned_user});
    EXPECT_EQ(kind.counters.calls, 85U);
    EXPECT_EQ(kind.latency.calls[3], 85U);
    EXPECT_EQ(kind.latency.sum_ns, 10000U);
}

TEST_F(RegistryTest, refusals_are_counted_as_a_whole_and_by_domain_and_kind) {
    registry.count_refusal(Domain::cdsp, PdKind::unsigned_user);
    registry.count_refusal(Domain::cdsp, PdKind::signed_user);
    std::optional<Totals> totals;
    registry.collect_totals([&](const Totals& sum) { totals = sum; });
    ASSERT_TRUE(totals);
    EXPECT_EQ(totals->sessions_refused, 2U);
    EXPECT_EQ(totals->sessions.at({Domain::cdsp, PdKind::signed_user}).refused, 1U);
}

TEST_F(RegistryTest, a_session_whose_host_crashed_is_lost_and_gone) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    host->socket.reset();
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_TRUE(seen.saw("lost: its host ended without a word"));
    EXPECT_EQ(quotas.lanes.keys() + quotas.sessions.keys(), 0U);
}

TEST_F(RegistryTest, a_session_that_its_owner_closes_is_not_reported_as_lost) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    ASSERT_TRUE(registry.close(*registry.find_session("s000000000000002a"), 1000));
    EXPECT_TRUE(seen.saw("session closing"));
    const auto frame = host->receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
    EXPECT_GT(frame->payload.size(), 0U);
    host->bye("closed over D-Bus");
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_EQ(std::ranges::count_if(seen.events, [](const auto& e) { return e.starts_with("lost"); }), 0);
}

TEST_F(RegistryTest, a_session_that_another_closes_is_lost_and_its_owner_is_told_by_whom) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    ASSERT_TRUE(registry.close(*registry.find_session("s000000000000002a"), 0));
    const auto frame = host->receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(decode<TerminateMessage>(frame->payload)->reason, LostReason::terminated);
    host->bye("told to end");
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_TRUE(seen.saw("lost: terminated by uid 0 (root) over D-Bus"));
}

TEST_F(RegistryTest, a_session_that_comes_back_is_charged_as_it_was_and_all_goes_with_it) {
    Description about = session_of(42, 1000);
    about.grant.limits.mapped_bytes = 5000;
    about.grant.limits.buffers = 7;
    about.grant.limits.directories = 5;
    about.grant.modules = {{"a.so", std::nullopt}, {"b.so", std::array<std::byte, 32>{}}};
    {
        const auto host = adopted(about);
        ASSERT_TRUE(host);
        EXPECT_EQ(quotas.sessions.used(Quotas::session_key(1000, Domain::cdsp)), 1U);
        EXPECT_EQ(quotas.slots.used(Quotas::domain_key(Domain::cdsp)), 1U);
        EXPECT_EQ(quotas.uid_lanes.used(1000), 4U);
        EXPECT_EQ(quotas.uid_bytes.used(1000), 5000U);
        EXPECT_EQ(quotas.uid_fds.used(1000), session_fds(about.grant));
        EXPECT_EQ(session_fds(about.grant), 7 + 4 * host_lane_fds + 5 + 1 + host_fds);
    }
    ASSERT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
    EXPECT_EQ(quotas.sessions.total() + quotas.slots.total() + quotas.lanes.total() + quotas.uid_lanes.total() +
                  quotas.uid_bytes.total() + quotas.uid_fds.total(),
              0U);
}

TEST_F(RegistryTest, a_static_pd_whose_host_is_away_is_stopped_and_comes_back) {
    { ASSERT_TRUE(adopted(root_of(Domain::adsp))); }
    ASSERT_TRUE(loop.until([&] { return !registry.find_pd(Domain::adsp, PdKind::root)->link; }));
    EXPECT_EQ(registry.find_pd(Domain::adsp, PdKind::root)->about.state, PdState::stopped);
    EXPECT_EQ(registry.find_domain(Domain::adsp)->state, "offline");
    const auto again = adopted(root_of(Domain::adsp));
    ASSERT_TRUE(again);
    EXPECT_EQ(registry.find_domain(Domain::adsp)->state, "online");
    EXPECT_EQ(std::ranges::count(seen.events, "pd+ root"), 1) << "it is the same object";
}

TEST_F(RegistryTest, a_host_cannot_become_another_by_a_state_message) {
    const Description original = session_of(42, 1000);
    for (const auto& change : std::vector<std::function<void(Description&)>>{
             [](Description& d) { d.owner_uid = 0; }, [](Description& d) { d.session_id = 43; },
             [](Description& d) { d.domain = Domain::adsp; }, [](Description& d) { d.kind = PdKind::signed_user; },
             [](Description& d) { d.grant.limits.lanes = 1; }}) {
        auto host = adopted(original);
        ASSERT_TRUE(host);
        Description news = original;
        change(news);
        ASSERT_TRUE(host->say(ControlOp::state, news));
        EXPECT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
        EXPECT_TRUE(at_end(host->socket.get()));
    }
}

TEST_F(RegistryTest, garbage_ends_its_own_connection_alone) {
    const auto other = adopted(session_of(1, 1000));
    auto host = adopted(session_of(2, 1001));
    ASSERT_TRUE(other);
    ASSERT_TRUE(host);
    const std::string garbage(100, 'x');
    ASSERT_GT(::send(host->socket.get(), garbage.data(), garbage.size(), 0), 0);
    EXPECT_TRUE(loop.until([&] { return registry.sessions().size() == 1; }));
    EXPECT_NE(registry.find_session("s0000000000000001"), nullptr);
}

TEST_F(RegistryTest, a_host_that_sends_what_only_fastrpcd_may_send_is_dropped) {
    for (const ControlOp op :
         {ControlOp::start, ControlOp::query, ControlOp::terminate, ControlOp::ready, ControlOp::describe}) {
        auto host = adopted(session_of(2, 1001));
        ASSERT_TRUE(host);
        ASSERT_TRUE(host->say(op, session_of(2, 1001)));
        EXPECT_TRUE(loop.until([&] { return registry.sessions().empty(); })) << static_cast<int>(op);
    }
}

TEST_F(RegistryTest, questions_in_flight_share_one_query_and_one_answer) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    HostLink& link = *registry.find_session("s000000000000002a")->link;
    unsigned answers = 0;
    for (int i = 0; i < 100; ++i)
        link.query([&](const Result<Counters>& counters) { answers += counters && counters->calls == 9; });
    ASSERT_TRUE(host->answer_query({.calls = 9}));
    EXPECT_TRUE(loop.until([&] { return answers == 100; }));
    EXPECT_FALSE(readable(host->socket.get(), 0)) << "there was a second query";
}

TEST_F(RegistryTest, a_silent_host_is_a_timeout_and_its_late_answer_is_no_crime) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    HostLink& link = *registry.find_session("s000000000000002a")->link;
    ErrorKind first = ErrorKind::none;
    link.query([&](const Result<Counters>& counters) { first = counters ? ErrorKind::none : counters.error().kind; });
    ASSERT_TRUE(loop.until([&] { return first != ErrorKind::none; }));
    EXPECT_EQ(first, ErrorKind::timeout);
    std::uint64_t calls = 0;
    link.query([&](const Result<Counters>& counters) { calls = counters ? counters->calls : 0; });
    ASSERT_TRUE(host->answer_query({.calls = 1}));
    ASSERT_TRUE(host->answer_query({.calls = 2}));
    EXPECT_TRUE(loop.until([&] { return calls == 2; })) << calls;
    EXPECT_EQ(registry.sessions().size(), 1U);
}

TEST_F(RegistryTest, an_answer_that_nobody_asked_for_drops_the_host) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    ASSERT_TRUE(host->send(ControlOp::query, encode(Counters{}), 5, true));
    EXPECT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
}

TEST_F(RegistryTest, who_asks_a_host_that_dies_gets_an_answer) {
    auto host = adopted(session_of(42, 1000));
    ASSERT_TRUE(host);
    ErrorKind kind = ErrorKind::none;
    bool collected = false;
    registry.find_session("s000000000000002a")->link->query([&](const Result<Counters>& c) {
        kind = c ? kind : c.error().kind;
    });
    registry.collect_totals([&](const Totals&) { collected = true; });
    host->socket.reset();
    EXPECT_TRUE(loop.until([&] { return collected; }));
    EXPECT_EQ(kind, ErrorKind::lost);
}

TEST_F(RegistryTest, totals_sum_over_all_hosts_that_live) {
    auto first = adopted(session_of(1, 1000));
    auto second = adopted(root_of(Domain::adsp));
    ASSERT_TRUE(first);
    ASSERT_TRUE(second);
    std::optional<Totals> totals;
    registry.collect_totals([&](const Totals& sum) { totals = sum; });
    ASSERT_TRUE(first->answer_query({.calls = 3, .files_served = 1}));
    ASSERT_TRUE(second->answer_query({.calls = 4}));
    ASSERT_TRUE(loop.until([&] { return totals.has_value(); }));
    EXPECT_EQ(totals->counters.calls, 7U);
    EXPECT_EQ(totals->counters.files_served, 1U);
}

TEST_F(RegistryTest, holders_are_counted_by_owner) {
    const auto a = adopted(session_of(1, 0)), b = adopted(session_of(2, 0)), c = adopted(session_of(3, 4294967294U));
    const auto root = adopted(root_of(Domain::cdsp));
    ASSERT_TRUE(a && b && c && root);
    EXPECT_EQ(registry.holders(Domain::cdsp), "root 2, uid 4294967294 1, static PDs 1");
    EXPECT_EQ(registry.holders(Domain::adsp), "nobody that fastrpcd knows of");
}

TEST_F(RegistryTest, session_numbers_are_never_zero_or_in_use) {
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(registry.new_session_id());
    std::ranges::sort(ids);
    EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
    EXPECT_NE(ids.front(), 0U);
}
