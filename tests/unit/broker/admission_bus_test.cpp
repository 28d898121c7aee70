// A full DSP over a real bus: who waits where, what root and others see of it, and that a wait ends in one clear way.
#include "tests/unit/broker/private_system.hpp"

#include <map>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;
constexpr uid_t crowd = 2; // up to 64 sessions, 3 places in the queue, idle ones may be reclaimed

Client::Fill waiting(std::uint32_t ms) {
    return [=](sd_bus_message* m) { return ::sd_bus_message_append(m, "{sv}", "wait-ms", "u", ms); };
}

struct Place {
    std::string domain;
    std::uint32_t uid = 0;
    std::string user;
    std::uint64_t waited = 0;
    std::uint32_t position = 0;
};

std::vector<Place> queue_of(Client& client) {
    const auto answer = client.call("/org/fastrpc1", "org.fastrpc1.Manager", "ListQueue").wait();
    EXPECT_EQ(answer.error, "") << answer.text;
    std::vector<Place> places;
    const char *domain = nullptr, *user = nullptr;
    Place place;
    ::sd_bus_message_enter_container(answer.message.get(), 'a', "(sustu)");
    while (::sd_bus_message_read(answer.message.get(), "(sustu)", &domain, &place.uid, &user, &place.waited,
                                 &place.position) > 0) {
        place.domain = domain;
        place.user = user;
        places.push_back(place);
    }
    return places;
}

std::map<std::string, std::uint64_t> stats_of(Client& client) {
    const auto answer = client.call("/org/fastrpc1", "org.fastrpc1.Manager", "GetStats").wait();
    std::map<std::string, std::uint64_t> stats;
    ::sd_bus_message_enter_container(answer.message.get(), 'a', "{sv}");
    const char* key = nullptr;
    std::uint64_t value = 0;
    while (::sd_bus_message_read(answer.message.get(), "{sv}", &key, "t", &value) > 0) stats[key] = value;
    return stats;
}

/// Sessions of `crowd` on all that it may have.
class FullSystem {
public:
    FullSystem() {
        for (int i = 0; i < 13; ++i) sessions.push_back(system.open_session(holder));
    }
    /// Waits until fastrpcd has `count` requests in its queue.
    bool queued(std::size_t count) {
        return root.until([&] { return queue_of(root).size() == count; });
    }
    PrivateSystem system;
    Client holder = system.client(crowd), root = system.client(), client = system.client(nobody);
    std::vector<PrivateSystem::Open> sessions;
};

#define EXPECT_MENTIONS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

} // namespace

TEST(AdmissionBus, a_request_waits_visibly_and_is_answered_when_a_session_ends) {
    FullSystem full;
    Call call = full.client.open("cdsp", "unsigned", waiting(60000));
    ASSERT_TRUE(full.queued(1));
    const auto mine = queue_of(full.client);
    ASSERT_EQ(mine.size(), 1U);
    EXPECT_EQ(mine[0].domain, "cdsp");
    EXPECT_EQ(mine[0].uid, nobody);
    EXPECT_EQ(mine[0].user, "nobody");
    EXPECT_EQ(mine[0].position, 1U);
    EXPECT_TRUE(queue_of(full.holder).empty()) << "one sees one's own";
    EXPECT_FALSE(call.answered());
    full.sessions[0].host.bye("done");
    FakeHost host = full.system.next_host();
    EXPECT_EQ(host.start.owner_uid, nobody);
    ASSERT_TRUE(host.ready());
    EXPECT_EQ(call.wait().error, "");
    EXPECT_TRUE(queue_of(full.root).empty());
}

TEST(AdmissionBus, fastrpcctl_shows_the_queue) {
    FullSystem full;
    for (auto& open : full.sessions) open.host.socket.reset();
    ASSERT_TRUE(full.root.until([&] { return stats_of(full.root)["charged-slots"] == 0; }));
    std::vector<FakeHost> hosts; // that start, and stay in it
    std::vector<Call> calls;
    for (int i = 0; i < 8; ++i) {
        calls.push_back(full.holder.open("cdsp", "unsigned", waiting(60000)));
        hosts.push_back(full.system.next_host());
    }
    calls.push_back(full.holder.open("cdsp", "unsigned", waiting(20000)));
    ASSERT_TRUE(full.queued(1));
    const Outcome text = full.system.ctl({"list"});
    for (const char* part : {"POSITION", "WAITED (ms)", "bin"}) EXPECT_MENTIONS(text.output, part);
    const json list = json::parse(full.system.ctl({"list", "--json"}).output, nullptr, false);
    ASSERT_EQ(list["queue"].size(), 1U) << list.dump(1);
    EXPECT_EQ(list["queue"][0]["domain"], "cdsp");
    EXPECT_EQ(list["queue"][0]["uid"], crowd);
    EXPECT_EQ(list["queue"][0]["position"], 1);
    EXPECT_TRUE(list["queue"][0]["waited-ms"].is_number());
    EXPECT_EQ(list["totals"]["queued"], 1);
    EXPECT_EQ(list["totals"]["opening"], 8);
}

TEST(AdmissionBus, a_deadline_is_a_timeout_that_says_where_one_stood_and_the_rule_narrows_it) {
    FullSystem full;
    Call early = full.client.open("cdsp", "unsigned", waiting(60000));
    ASSERT_TRUE(full.queued(1));
    const auto answer = full.holder.open("cdsp", "unsigned", waiting(100)).wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.Timeout");
    EXPECT_MENTIONS(answer.text, "was number 2");
    EXPECT_MENTIONS(answer.text, "bin 13");
    EXPECT_FALSE(early.answered());
    const auto busy = full.holder.open("cdsp", "unsigned").wait();
    EXPECT_EQ(busy.error, "org.fastrpc1.Error.Busy");
    EXPECT_MENTIONS(busy.text, "try again in ");
}

TEST(AdmissionBus, whoever_leaves_the_bus_leaves_the_queue) {
    FullSystem full;
    auto client = std::make_unique<Client>(full.system.client(nobody));
    Call call = client->open("cdsp", "unsigned", waiting(60000));
    ASSERT_TRUE(full.queued(1));
    client.reset();
    EXPECT_TRUE(full.queued(0));
    EXPECT_EQ(stats_of(full.root)["queued"], 0U);
}

TEST(AdmissionBus, the_uids_places_are_limited) {
    FullSystem full;
    std::vector<Call> calls;
    for (int i = 0; i < 3; ++i) calls.push_back(full.holder.open("cdsp", "unsigned", waiting(60000)));
    const auto answer = full.holder.open("cdsp", "unsigned", waiting(60000)).wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.QuotaExceeded");
    EXPECT_MENTIONS(answer.text, "queued_per_uid");
}

TEST(AdmissionBus, an_idle_session_makes_room_for_one_that_waits_and_its_owner_is_told_why) {
    FullSystem full;
    std::string lost;
    ::sd_bus_match_signal(
        full.holder.raw(), nullptr, nullptr, nullptr, "org.fastrpc1.Session", "Lost",
        [](sd_bus_message* m, void* to, sd_bus_error*) {
            const char* text = nullptr;
            if (::sd_bus_message_read(m, "s", &text) > 0) *static_cast<std::string*>(to) = text;
            return 0;
        },
        &lost);
    Call call = full.client.open("cdsp", "unsigned", waiting(60000));
    ASSERT_TRUE(full.queued(1));
    // All are asked; one was idle long enough.
    for (std::size_t i = 0; i < full.sessions.size(); ++i)
        ASSERT_TRUE(full.sessions[i].host.answer_query({.calls = 1, .idle_ms = i == 4 ? 5000U : 4000U}));
    FakeHost& idle = full.sessions[4].host;
    auto frame = idle.receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::leave));
    EXPECT_EQ(decode<LeaveMessage>(frame->payload)->grace_ms, 2000U);
    ASSERT_TRUE(idle.answer_query({.calls = 1, .idle_ms = 7000}));
    frame = idle.receive();
    ASSERT_TRUE(frame);
    ASSERT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
    EXPECT_EQ(decode<TerminateMessage>(frame->payload)->reason, LostReason::reclaimed);
    idle.bye("told to end");
    EXPECT_EQ(full.system.next_host().start.owner_uid, nobody);
    EXPECT_TRUE(full.holder.until([&] { return !lost.empty(); }));
    EXPECT_MENTIONS(lost, "reclaimed: it made no call for 7000 ms");
}

TEST(AdmissionBus, whoever_asks_too_often_starts_nothing_and_is_answered_no_faster_than_in_time) {
    PrivateSystem system({.policy = R"({"rules": [{"name": "slow", "subject": {"any": true}, "domains": ["cdsp"],
        "kinds": ["unsigned"], "effect": "allow", "limits": {"opens_per_minute": 1}}]})"});
    Client client = system.client(nobody), second = system.client(nobody), other = system.client(crowd);
    Call first = client.open("cdsp", "unsigned");
    const FakeHost host = system.next_host();
    EXPECT_TRUE(queue_of(second).empty()); // fastrpcd knows it now
    const auto begin = std::chrono::steady_clock::now();
    std::vector<Call> flood;
    for (int i = 0; i < 140; ++i) // more than its share of late answers
        flood.push_back((i % 2 == 0 ? client : second).open("cdsp", "unsigned", waiting(60000)));
    Call fair = other.open("cdsp", "unsigned");
    EXPECT_NO_THROW(system.next_host()) << "another uid is not concerned";
    const auto refused = [&](std::size_t number) {
        const auto answer = flood[number].wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.Busy");
        EXPECT_MENTIONS(answer.text, "may ask for 1 sessions a minute");
        return std::chrono::steady_clock::now() - begin;
    };
    for (std::size_t number = 128; number < flood.size(); ++number) refused(number);
    for (std::size_t number = 0; number < 10; ++number)
        EXPECT_GE(refused(number), std::chrono::milliseconds(100) * (number + 1)) << number;
    Client root = system.client();
    EXPECT_EQ(stats_of(root)["opening"], 1U) << "the first; the host of the other one has gone";
    EXPECT_EQ(stats_of(root)["queued"], 0U);
    { // one that leaves before its answer
        Client gone = system.client(nobody);
        Call call = gone.open("cdsp", "unsigned");
    }
    EXPECT_EQ(queue_of(root).size(), 0U);
}

TEST(AdmissionBus, a_new_fastrpcd_charges_the_sessions_that_come_back) {
    PrivateSystem system;
    Client root = system.client();
    FakeHost session = system.connect_control();
    ASSERT_EQ(session.described(session_of(7, nobody, 3)), 0U);
    auto stats = stats_of(root);
    EXPECT_EQ(stats["charged-sessions"], 1U);
    EXPECT_EQ(stats["charged-slots"], 1U);
    EXPECT_EQ(stats["charged-lanes"], 3U);
    EXPECT_EQ(stats["charged-uid-lanes"], 3U);
    EXPECT_EQ(stats["charged-fds"], session_fds(session_of(7, nobody, 3).grant));
    session.socket.reset();
    EXPECT_TRUE(root.until([&] {
        stats = stats_of(root);
        return stats["charged-sessions"] + stats["charged-slots"] + stats["charged-lanes"] +
                   stats["charged-uid-lanes"] + stats["charged-bytes"] + stats["charged-fds"] ==
               0;
    }));
}

TEST(AdmissionBus, features_name_every_option) {
    PrivateSystem system;
    const json status = json::parse(system.ctl({"status", "--json"}).output, nullptr, false);
    EXPECT_EQ(status["features"], (json{"directories", "label", "deadline-ms", "lanes", "memory", "wait-ms", "priority",
                                        "stack", "modules", "module-files", "attributes"}));
}
