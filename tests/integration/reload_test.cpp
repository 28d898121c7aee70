// The policy is reloaded again and again while clients of eight users open sessions: each session is granted by one
// whole policy, the one whose revision it names, and never by half of each.
//
// And sessions that run end with the policy that denies them where that says so, those alone and with the reason.
//
// FASTRPC_RELOADS says how often; without it 1,000 times.
#include "client/fastrpc.hpp"
#include "tests/integration/admission.hpp"
#include "tests/integration/bus_user.hpp"

#include <array>
#include <atomic>
#include <fstream>
#include <mutex>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr unsigned variants = 2;

/// Half of the users have their rule in one file, half in another; how many lanes they get tells the variant.
void write_policy(const std::filesystem::path& directory, unsigned variant, const std::string& running) {
    for (unsigned half = 0; half < 2; ++half) {
        const auto first = users.begin() + half * 4;
        const json rule{
            {"name", "half-" + std::to_string(half) + "-of-" + std::to_string(variant)},
            {"subject", {{"users", std::vector<std::string>(first, first + 4)}}},
            {"domains", {"cdsp"}},
            {"kinds", {"unsigned"}},
            {"effect", "allow"},
            {"limits",
             {{"lanes", 1 + variant}, {"sessions_per_uid", 8}, {"opens_per_minute", 1000000}, {"queue_ms", 60000}}}};
        const auto draft = directory / "draft";
        std::ofstream(draft) << json{{"running_sessions", running}, {"rules", {rule}}}.dump(1);
        ::chmod(draft.c_str(), 0644);
        std::filesystem::rename(draft, directory / (std::to_string(half) + ".json"));
    }
}

unsigned reloads() {
    const char* given = std::getenv("FASTRPC_RELOADS");
    return given == nullptr ? 1000 : static_cast<unsigned>(std::atoi(given));
}

class PolicyReload : public testing::TestWithParam<const char*> {};

TEST_P(PolicyReload, grants_every_session_by_one_whole_policy) {
    const Scratch initial;
    write_policy(initial.directory("policy.d"), 0, GetParam());
    const auto system = start_system({.policy = initial.path("policy.d")});
    const auto directory = system->directory() / "policy.d";
    BusUser root(*system, 0);
    // What each variant's revision is.
    std::map<std::uint64_t, unsigned> lanes_of;
    for (unsigned variant = 0; variant < variants; ++variant) {
        write_policy(directory, variant, GetParam());
        ASSERT_EQ(root.call("/org/fastrpc1", "org.fastrpc1.Manager", "ReloadPolicy"), "ok");
        const auto answer = BusUser(*system, uid_of("mail")).open(60000);
        ASSERT_TRUE(answer.session) << answer.error << answer.text;
        lanes_of[answer.granted.at("revision")] = 1 + variant;
    }
    ASSERT_EQ(lanes_of.size(), variants);

    std::atomic<bool> stop = false;
    std::atomic<unsigned> opened = 0;
    std::mutex mutex;
    std::vector<std::string> problems;
    std::map<std::uint64_t, unsigned> seen;
    std::vector<uid_t> uids; // the user database is for one thread
    for (const std::string& user : users) uids.push_back(uid_of(user));
    std::vector<std::thread> clients;
    for (const uid_t uid : uids)
        clients.emplace_back([&, uid] {
            BusUser user(*system, uid);
            while (!stop) {
                const auto answer = user.open(60000);
                const std::lock_guard lock(mutex);
                if (!answer.session) {
                    problems.push_back(answer.error + ": " + answer.text);
                    continue;
                }
                ++opened;
                const auto revision = answer.granted.at("revision");
                ++seen[revision];
                const auto known = lanes_of.find(revision);
                if (known == lanes_of.end())
                    problems.push_back("a revision that there never was");
                else if (known->second != answer.granted.at("lanes"))
                    problems.push_back("lanes of another revision");
            }
        });
    const unsigned times = reloads();
    for (unsigned i = 0; i < times; ++i) {
        write_policy(directory, i % variants, GetParam());
        ASSERT_EQ(root.call("/org/fastrpc1", "org.fastrpc1.Manager", "ReloadPolicy"), "ok") << i;
        // Else few of them would meet an open, which takes longer.
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 4));
    }
    stop = true;
    for (std::thread& client : clients) client.join();
    EXPECT_TRUE(problems.empty()) << problems.size() << ", the first: " << problems.front();
    EXPECT_EQ(seen.size(), variants) << "some sessions of each";
    std::printf("%u reloads, %u sessions\n", times, opened.load());
    EXPECT_TRUE(stack::eventually([&] { return charges(*system) == 0; })) << ctl_list(*system).dump(1);
}

INSTANTIATE_TEST_SUITE_P(Running, PolicyReload, testing::Values("keep", "end"),
                         [](const auto& its) { return std::string(its.param); });

/// A user with a session and a thread that calls until calls fail.
class Calling {
public:
    Calling(const stack::Stack& system, const std::string& user) {
        as_user(uid_of(user), [&] {
            const auto failed =
                session_.open({.directories = {module_directory().string()},
                               .bus_address = system.client_environment().at("DBUS_SYSTEM_BUS_ADDRESS")});
            EXPECT_FALSE(failed) << failed.text();
        });
        const auto failed = session_.open_module("libtest_skel.so", "test", module_);
        EXPECT_FALSE(failed) << failed.text();
        thread_ = std::thread([this] {
            constexpr unsigned echo = 2;
            std::array<std::uint32_t, 4> in{1, 2, 3, 4}, out{};
            while (!stop_) {
                const auto failed_call = module_.invoke(echo, {client::argument(in)}, {client::argument(out)});
                if (!failed_call) {
                    ++calls_;
                    continue;
                }
                text_ = failed_call.text();
                lost_ = true;
                return;
            }
        });
    }
    ~Calling() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }
    Calling(const Calling&) = delete;
    Calling& operator=(const Calling&) = delete;
    [[nodiscard]] bool lost() const { return lost_; }
    [[nodiscard]] unsigned calls() const { return calls_; }
    [[nodiscard]] int reason() const { return session_.lost_reason(); }
    /// Once it is lost.
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    client::Session session_;
    client::Module module_;
    std::atomic<bool> stop_ = false, lost_ = false;
    std::atomic<unsigned> calls_ = 0;
    std::string text_;
    std::thread thread_;
};

TEST(PolicyEnd, ends_the_sessions_of_whom_it_denies_with_the_reason_and_nobody_elses) {
    const auto policy = [](const std::vector<std::string>& denied) {
        json rules = json::array();
        if (!denied.empty())
            rules.push_back({{"name", "no-more"},
                             {"subject", {{"users", denied}}},
                             {"domains", {"cdsp"}},
                             {"kinds", {"unsigned"}},
                             {"effect", "deny"}});
        rules.push_back({{"name", "everybody"},
                         {"subject", {{"any", true}}},
                         {"domains", {"cdsp"}},
                         {"kinds", {"unsigned"}},
                         {"effect", "allow"}});
        return json{{"running_sessions", "end"}, {"rules", rules}}.dump(1);
    };
    const Scratch initial;
    initial.file("policy.d/50-test.json", policy({}));
    const auto system = start_system({.policy = initial.path("policy.d")});
    BusUser root(*system, 0);
    {
        Calling denied(*system, "mail"), other(*system, "nobody");
        ASSERT_TRUE(stack::eventually([&] { return denied.calls() > 10 && other.calls() > 10; }));
        const auto place = system->directory() / "policy.d/50-test.json";
        std::ofstream(place) << policy({"mail"});
        ASSERT_EQ(root.call("/org/fastrpc1", "org.fastrpc1.Manager", "ReloadPolicy"), "ok");
        ASSERT_TRUE(stack::eventually([&] { return denied.lost(); }));
        EXPECT_TRUE(stack::eventually([&] { return denied.reason() == FASTRPC_LOST_POLICY_CHANGED; }))
            << denied.reason();
        EXPECT_NE(denied.text().find("no-more"), std::string::npos) << denied.text();
        EXPECT_NE(denied.text().find("50-test.json:"), std::string::npos) << denied.text();
        const unsigned before = other.calls();
        EXPECT_TRUE(stack::eventually([&] { return other.calls() > before + 100; })) << "nobody else notices";
        EXPECT_TRUE(stack::eventually([&] { return ctl_list(*system).value("sessions", json::array()).size() == 1; }))
            << ctl_list(*system).dump(1);
        EXPECT_EQ(BusUser(*system, uid_of("mail")).open().error, "AccessDenied");
    }
    EXPECT_TRUE(stack::eventually([&] { return charges(*system) == 0; })) << ctl_list(*system).dump(1);
}

} // namespace
