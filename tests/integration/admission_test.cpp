// Many want a DSP that has 14 sessions: everybody is served in turn, and exactly the late ones are told so.
#include "tests/integration/admission.hpp"
#include "tests/integration/bus_user.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <random>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr std::uint32_t long_wait = 120'000; // what a test waits at most for an answer that must come

std::vector<uid_t> user_uids() {
    std::vector<uid_t> uids;
    for (const std::string& user : users) uids.push_back(uid_of(user));
    return uids;
}

} // namespace

TEST(Admission, forty_clients_of_eight_users_at_fourteen_slots_are_all_served_in_turn) {
    const RulesDirectory rules(
        {{"sessions_per_uid", 8}, {"lanes", 1}, {"opens_per_minute", 1000000}, {"queue_ms", long_wait}});
    const auto system = start_system({.policy = rules.path()});
    constexpr unsigned clients = 40;
    const unsigned each = rounds(3);
    const std::vector<uid_t> uids = user_uids(); // the user database is for one thread
    std::mutex mutex;
    std::map<uid_t, unsigned> served;
    std::vector<double> waits;
    std::vector<std::string> problems;
    std::atomic<unsigned> finished{0};
    std::vector<std::thread> threads;
    for (unsigned client = 0; client < clients; ++client)
        threads.emplace_back([&, client] {
            const uid_t uid = uids[client % uids.size()];
            std::mt19937 random(client);
            BusUser user(*system, uid);
            for (unsigned round = 0; round < each; ++round) {
                BusUser::Answer answer;
                const double wait = took_ms([&] { answer = user.open(long_wait); });
                {
                    const std::lock_guard lock(mutex);
                    if (answer.session)
                        ++served[uid], waits.push_back(wait);
                    else
                        problems.push_back(answer.error + ": " + answer.text);
                }
                std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100)); // its work
            }
            ++finished;
        });
    // A uid's first request is never further back than there are uids, its second never than twice as many ...
    BusUser root(*system, 0);
    std::size_t longest = 0, most_used = 0;
    while (finished < clients) {
        std::map<std::uint32_t, std::uint32_t> nth;
        const auto queue = root.queue();
        longest = std::max(longest, queue.size());
        for (const auto& [uid, position] : queue) EXPECT_LE(position, ++nth[uid] * uids.size()) << uid;
        most_used = std::max(most_used, soc(*system).value("slots_used", std::size_t{0}));
        std::this_thread::sleep_for(20ms);
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(problems.empty()) << problems.front();
    for (const uid_t uid : uids) EXPECT_EQ(served[uid], each * clients / uids.size()) << uid;
    EXPECT_GT(longest, 0U) << "nobody had to wait: this test shows nothing";
    EXPECT_LE(most_used, 14U);
    std::printf("%zu sessions for 40 clients: wait p50 %.0f ms, p99 %.0f ms, longest %.0f ms; longest queue %zu\n",
                waits.size(), share(waits, 0.5), share(waits, 0.99), share(waits, 1), longest);
    EXPECT_TRUE(stack::eventually([&] { return charges(*system) == 0; })) << ctl_list(*system).dump(1);
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).empty(); }));
}

TEST(Admission, exactly_those_whose_deadline_passes_time_out) {
    const RulesDirectory rules({{"sessions_per_uid", 16}, {"lanes", 1}, {"queue_ms", long_wait}});
    const auto system = start_system({.policy = rules.path()});
    BusUser holder(*system, uid_of("nobody"));
    std::vector<UniqueFd> held;
    for (;;) {
        auto answer = holder.open();
        if (!answer.session) {
            EXPECT_EQ(answer.error, "Busy") << answer.text;
            break;
        }
        held.push_back(std::move(answer.session));
    }
    EXPECT_EQ(held.size(), system->has_cdsp_root() ? 12U : 13U) << "the static PD and root keep theirs";
    EXPECT_TRUE(BusUser(*system, 0).open().session) << "root need not wait";

    std::map<std::string, std::unique_ptr<BusUser>> early, patient;
    for (const char* user : {"sys", "man", "mail"}) {
        early[user] = std::make_unique<BusUser>(*system, uid_of(user));
        patient[user] = std::make_unique<BusUser>(*system, uid_of(user));
        patient[user]->send(long_wait);
        early[user]->send(300);
    }
    for (const auto& [user, bus] : early) {
        const auto answer = bus->next();
        EXPECT_EQ(answer.error, "Timeout") << user << answer.text;
        EXPECT_NE(answer.text.find("was number "), std::string::npos) << answer.text;
        EXPECT_NE(answer.text.find("nobody 12"), std::string::npos) << answer.text;
    }
    BusUser root(*system, 0);
    EXPECT_EQ(root.queue().size(), patient.size());
    held.clear();
    for (const auto& [user, bus] : patient) {
        const auto answer = bus->next();
        EXPECT_TRUE(answer.session) << user << ": " << answer.text;
    }
    EXPECT_TRUE(stack::eventually([&] { return charges(*system) == 0; })) << ctl_list(*system).dump(1);
}
