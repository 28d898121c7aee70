// Many want a DSP that has 14 sessions: everybody is served in turn, exactly the late ones are told so, and one user's
// flood leaves the others their share.
//
// FASTRPC_ADMISSION_ROUNDS sets how often each client wants a session and how often the fairness test measures; without
// it each takes seconds. Times are printed and not judged: other programs run beside tests.
#include "client/fastrpc.hpp"
#include "tests/integration/bus_user.hpp"
#include "tests/integration/rules_directory.hpp"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <random>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr std::uint32_t long_wait = 120'000; // what a test waits at most for an answer that must come
const std::vector<std::string> users{"sys", "sync", "man", "lp", "mail", "news", "uucp", "nobody"};

std::vector<uid_t> user_uids() {
    std::vector<uid_t> uids;
    for (const std::string& user : users) uids.push_back(uid_of(user));
    return uids;
}

unsigned rounds(unsigned usual) {
    const char* given = std::getenv("FASTRPC_ADMISSION_ROUNDS");
    return given == nullptr ? usual : static_cast<unsigned>(std::atoi(given));
}

double share(std::vector<double> values, double part) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

template<class Work>
double took_ms(Work work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
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

TEST(Admission, a_user_who_floods_leaves_another_its_opens_and_its_calls) {
    // The shipped limits, for everybody.
    std::ifstream shipped(stack::source_root() / "config/policy.d/50-default.json");
    const RulesDirectory rules(json::parse(shipped)["rules"][0]["limits"]);
    const auto system = start_system({.policy = rules.path(), .latency_us = 90}); // as a DSP takes
    const std::string bus = system->client_environment().at("DBUS_SYSTEM_BUS_ADDRESS");
    struct Times {
        std::vector<double> opens, calls;
    };
    const unsigned count = rounds(10);
    const auto measure = [&](Times& times) {
        for (unsigned i = 0; i < count; ++i) {
            client::Session session;
            client::Module module;
            client::Error error;
            times.opens.push_back(took_ms(
                [&] { error = session.open({.directories = {module_directory().string()}, .bus_address = bus}); }));
            EXPECT_FALSE(error) << error.text();
            if (error) return;
            error = session.open_module("libtest_skel.so", "test", module);
            EXPECT_FALSE(error) << error.text();
            for (int n = 0; n < 200 && !error; ++n) {
                std::array<std::uint32_t, 8> in{i, static_cast<std::uint32_t>(n)}, out{};
                times.calls.push_back(
                    took_ms([&] { error = module.invoke(2, {client::argument(in)}, {client::argument(out)}); }));
                EXPECT_EQ(in, out);
            }
            EXPECT_FALSE(error) << error.text();
        }
    };
    const uid_t mail = uid_of("mail"), nobody = uid_of("nobody");
    Times alone, beside_opens, beside_all;
    as_user(mail, [&] { measure(alone); });
    std::atomic<bool> stop{false};
    std::map<std::string, unsigned> answers;
    std::thread flood([&] {
        BusUser user(*system, nobody);
        while (!stop) {
            while (user.outstanding() < 64) user.send(1000);
            const auto answer = user.next();
            ++answers[answer.session ? "opened" : answer.error];
        }
        while (user.outstanding() > 0) user.next();
    });
    as_user(mail, [&] { measure(beside_opens); });
    {
        // One who calls on all lanes of a session; it gets its session in spite of its own flood, later or sooner.
        std::unique_ptr<Caller> caller;
        while (!caller || !caller->calling())
            caller = std::make_unique<Caller>(*system, std::vector<std::string>{"--threads", "16"});
        as_user(mail, [&] { measure(beside_all); });
        stop = true;
        flood.join();
        EXPECT_EQ(caller->finish().value("failed", -1), 0);
    }
    const auto print = [&](const char* what, const Times& times) {
        std::printf("%-28s open p50 %6.1f ms, p99 %6.1f ms (%+.1f ms); call p50 %.3f ms, p99 %.3f ms (x %.2f)\n", what,
                    share(times.opens, 0.5), share(times.opens, 0.99),
                    share(times.opens, 0.5) - share(alone.opens, 0.5), share(times.calls, 0.5),
                    share(times.calls, 0.99), share(times.calls, 0.99) / share(alone.calls, 0.99));
        EXPECT_EQ(times.opens.size(), count);
        EXPECT_LT(share(times.opens, 1), 30'000) << "as long as a host may take to start, and no longer";
    };
    print("alone:", alone);
    print("beside a flood of opens:", beside_opens);
    print("... and of calls:", beside_all);
    for (const auto& [answer, number] : answers) std::printf("the flood: %u x %s\n", number, answer.c_str());
    EXPECT_GT(answers["Busy"] + answers["QuotaExceeded"] + answers["Timeout"], 0U) << "it was no flood";
    EXPECT_TRUE(stack::eventually([&] { return charges(*system) == 0; })) << ctl_list(*system).dump(1);
}
