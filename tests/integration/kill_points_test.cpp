// kill -9 of everybody in every step of a session's life: nothing is left behind, and nobody else is touched
// (docs/kill-points.md is the table).
#include "tests/integration/forked_clients.hpp"
#include "tests/integration/held_threads.hpp"
#include "tests/integration/holdings.hpp"
#include "tests/integration/kill_steps.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

const std::filesystem::path page_file = stack::source_root() / "docs/kill-points.md";

class KillPoints : public testing::Test {
protected:
    KillPoints() {
        EXPECT_TRUE(neighbour_.calls_on());
        EXPECT_TRUE(neighbour_.hold_still(true));
        before_ = looks_->steady();
        neighbours_host_ = hosts();
        neighbours_pds_ = pds();
        EXPECT_TRUE(neighbour_.hold_still(false));
    }
    ~KillPoints() override {
        EXPECT_EQ(neighbour_.failures(), 0U);
        EXPECT_GE(points_, 60);
        std::printf("%d kills; another user's session made %llu calls beside them, %llu of which failed\n", points_,
                    static_cast<unsigned long long>(neighbour_.calls()),
                    static_cast<unsigned long long>(neighbour_.failures()));
    }

    /// Hosts of sessions of this system that live.
    [[nodiscard]] std::set<pid_t> hosts() const {
        std::set<pid_t> found;
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const std::string name = entry.path().filename();
            if (name.find_first_not_of("0123456789") != std::string::npos) continue;
            std::ifstream file(entry.path() / "cmdline");
            const std::string line{std::istreambuf_iterator<char>(file), {}};
            // The one that starts them has all these words, too, behind a name of its own.
            if (line.find("fastrpc-pd") < line.find('\0') && line.find("--session") != std::string::npos &&
                line.find(system_->control_socket().string()) != std::string::npos)
                found.insert(std::stoi(name));
        }
        return found;
    }
    /// The PDs of clients, by the numbers that the DSP has for those.
    [[nodiscard]] std::set<int> pds() const {
        std::set<int> found;
        for (const json& pd : status_of_pds(*system_, "cdsp"))
            if (pd.value("kind", "") != "root") found.insert(pd.value("client", 0));
        return found;
    }

    void hold(const KillStep& step, bool held) {
        const int signal = held ? SIGSTOP : SIGCONT;
        if (step.hold == KillStep::Hold::fastrpcd && system_->fastrpcd() > 0) ::kill(system_->fastrpcd(), signal);
        if (step.hold == KillStep::Hold::activator) ::kill(system_->activator(), signal);
        if (step.hold == KillStep::Hold::host && !held) held_.let_go();
        if (step.hold == KillStep::Hold::host && held)
            for (const pid_t host : hosts())
                if (!neighbours_host_.contains(host)) {
                    EXPECT_TRUE(held_.hold_host(host)) << std::strerror(errno);
                }
        if (step.hold == KillStep::Hold::dsp) {
            // Just restarted, it takes no commands yet.
            EXPECT_TRUE(stack::eventually([&] { return status(*system_).value("state", "") == "running"; }));
            command(*system_, {{"command", "faults"},
                               {"domain", "cdsp"},
                               {"rules", held ? json::array({step.fault}) : json::array()}});
        }
    }
    /// The system is in the step, and will be until it is let go.
    [[nodiscard]] bool reached(const KillStep& step, std::size_t fds_before) const {
        return stack::eventually([&] {
            if (step.hold == KillStep::Hold::dsp) {
                const json rules = status(*system_)["dsp"]["faults"];
                return !rules.empty() && rules[0].value("hits", 0) == 1;
            }
            if (step.hold == KillStep::Hold::activator) return fds(system_->fastrpcd()) > fds_before;
            if (step.hold == KillStep::Hold::fastrpcd && step.session == KillStep::Session::closing)
                return pds() == neighbours_pds_;
            if (step.operation == "open" && step.session == KillStep::Session::open) return sessions() == 2;
            return true;
        });
    }
    [[nodiscard]] std::size_t sessions() const { return looks_->now().sessions; }

    void kill(Victim victim, SteppedClient& client) {
        switch (victim) {
        case Victim::client:
            return client.kill();
        case Victim::host: {
            const auto all = hosts();
            const auto its = std::ranges::find_if(all, [&](pid_t pid) { return !neighbours_host_.contains(pid); });
            ASSERT_NE(its, all.end());
            ::kill(*its, SIGKILL);
            return;
        }
        case Victim::pd: {
            const auto all = pds();
            const auto its = std::ranges::find_if(all, [&](int pd) { return !neighbours_pds_.contains(pd); });
            ASSERT_NE(its, all.end());
            command(*system_, {{"command", "crash"}, {"domain", "cdsp"}, {"pd", *its}});
            return;
        }
        case Victim::fastrpcd:
            return system_->kill_fastrpcd();
        case Victim::bus:
            return system_->kill_bus();
        case Victim::dsp:
            neighbour_.excuse(true);
            command(*system_, {{"command", "restart"}, {"domain", "cdsp"}});
            return;
        }
    }
    /// What the machine does after such a death.
    void recover(Victim victim) {
        if (victim == Victim::fastrpcd) {
            EXPECT_TRUE(system_->start_fastrpcd());
        }
        if (victim == Victim::bus) {
            const Status back = system_->restart_bus();
            EXPECT_TRUE(back) << back.error().text;
            looks_ = std::make_unique<HoldingsOf>(*system_);
        }
        if (victim == Victim::dsp) {
            EXPECT_TRUE(neighbour_.calls_on());
            neighbour_.excuse(false);
        }
    }

    void at(const KillStep& step, Victim victim) {
        SCOPED_TRACE(step.operation + ", " + step.where + ": kill -9 of the " + to_string(victim));
        const std::size_t fds_before = fds(system_->fastrpcd());
        SteppedClient client(*system_, step.before, step.after);
        ASSERT_TRUE(client.is_ready()) << system_->log();
        hold(step, true);
        client.go_on();
        EXPECT_TRUE(client.is_there());
        ASSERT_TRUE(reached(step, fds_before)) << status(*system_);
        kill(victim, client);
        hold(step, false);
        recover(victim);
        const std::string wanted = outcome(step, victim);
        if (victim != Victim::client) {
            const std::size_t left = wanted == "goes on" || wanted == "is opened" ? 2 : 1;
            EXPECT_TRUE(stack::eventually([&] { return sessions() == left; })) << sessions() << system_->log();
        }
        client.kill();
        EXPECT_TRUE(neighbour_.calls_on());
        settle(step, victim);
        ++points_;
    }

    void settle(const KillStep& step, Victim victim) {
        ASSERT_TRUE(neighbour_.hold_still(true));
        Holdings last;
        const bool same = stack::eventually(
            [&] {
                last = looks_->now();
                lost_ = last.lost_contexts;
                last.contexts -= lost_;
                last.lost_contexts = 0;
                last.broker_fds -= fds_more_;
                return last == before_;
            },
            30s);
        if (!same && (victim == Victim::fastrpcd || victim == Victim::bus)) {
            fds_more_ += last.broker_fds - before_.broker_fds; // another process
            last.broker_fds = before_.broker_fds;
        }
        EXPECT_EQ(last, before_) << system_->log();
        EXPECT_LE(lost_ - lost_before_, most_lost(step, victim));
        lost_before_ = lost_;
        const auto live = [&] {
            return hosts().size() == neighbours_host_.size() && pds().size() == neighbours_pds_.size();
        };
        EXPECT_TRUE(stack::eventually(live)) << hosts().size() << " hosts";
        if (victim == Victim::dsp) { // its session, and so its host, are others now
            EXPECT_EQ(lost_, 0) << "a restart gives contexts back";
            neighbours_host_ = hosts();
            neighbours_pds_ = pds();
        }
        ASSERT_TRUE(neighbour_.hold_still(false));
    }

    System system_ = start_system({.ready_hosts = 0}); // one of its steps waits for a host to be started
    std::unique_ptr<HoldingsOf> looks_ = std::make_unique<HoldingsOf>(*system_);
    CallingNeighbour neighbour_{*system_};
    HeldThreads held_;
    Holdings before_;
    std::set<pid_t> neighbours_host_;
    std::set<int> neighbours_pds_;
    std::int64_t lost_ = 0, lost_before_ = 0;
    std::size_t fds_more_ = 0;
    int points_ = 0;
};

TEST_F(KillPoints, leave_nothing_behind_and_touch_nobody_else) {
    for (const KillStep& step : kill_steps())
        for (const Victim victim : all_victims)
            if (has_point(step, victim) && !HasFatalFailure()) at(step, victim);
}

TEST(KillPointsPage, tells_of_every_point_what_the_test_knows) {
    if (::getenv("FASTRPC_WRITE_KILL_POINTS") != nullptr) std::ofstream(page_file) << kill_points_page();
    std::ifstream file(page_file);
    const std::string page{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(page, kill_points_page()) << "write it anew: FASTRPC_WRITE_KILL_POINTS=1 test-kill_points";
}

} // namespace
