// fastrpcd ended again and again while a client calls as fast as it can: no call fails, no session ends, no static PD
// notices.
#include "tests/system/machine.hpp"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

/// Of each host of a static PD, what changes when it is started anew.
std::map<std::string, std::string> static_hosts() {
    std::map<std::string, std::string> facts;
    for (const std::string& unit : active_units("fastrpc-pd@*"))
        facts[unit] =
            show(unit, "MainPID") + ' ' + show(unit, "NRestarts") + ' ' + show(unit, "ActiveEnterTimestampMonotonic");
    return facts;
}

/// Opens sessions one after the other, each within a bound.
class Opener {
public:
    Opener() : thread_([this] { loop(); }) {}
    ~Opener() { finish(); }
    void finish() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }
    std::atomic<int> opened{0}, refused{0}, hung{0};
    std::string refusal; ///< the last one; after finish()

private:
    void loop() {
        while (!stop_) {
            const json result = call(member, {"--calls", "3", "--label", "opener"}, 45s);
            const int code = result.value("exit", -1);
            ++(code == 0 ? opened : code > 0 ? refused : hung);
            if (code != 0) refusal = result.dump();
        }
    }
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// `end`, which ends the process of fastrpcd, again and again.
void survive(const char* what, int rounds, const std::function<void(int pid)>& end) {
    Words command = as(member, caller({"--calls", "0", "--threads", "2", "--label", "load"}));
    auto load = stack::LineProgram::start({.command = std::move(command)});
    ASSERT_TRUE(load) << load.error().text;
    ASSERT_EQ(load->line(), "calling");
    const auto loaded = [] {
        for (const json& each : ctl(root, {"list"}).value("sessions", json::array()))
            if (each.value("label", "") == "load") return each.value("id", "");
        return std::string();
    };
    const std::string session = loaded();
    ASSERT_NE(session, "") << ctl(root, {"list"});
    const auto before = static_hosts();
    EXPECT_EQ(before.size(), 4U);

    Opener opener;
    const auto begin = std::chrono::steady_clock::now();
    for (int round = 0; round < rounds; ++round) {
        const std::string old = show("fastrpcd", "MainPID");
        end(std::stoi(old));
        ASSERT_TRUE(eventually([&] {
            const std::string now = show("fastrpcd", "MainPID");
            return now != old && now != "0" && show("fastrpcd", "ActiveState") == "active";
        })) << "round "
            << round;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    opener.finish();
    EXPECT_TRUE(eventually([&] { return loaded() == session; })) << "the session is listed again";
    load->end_input();
    const json result = json::parse(load->line(), nullptr, false);
    std::printf("%s %d times in %.1f s: %zu static PDs as before; %llu calls, %llu failed, %llu mixed up; other "
                "sessions: %d opened, %d refused, "
                "%d hung\n",
                what, rounds, took.count(), before.size(), result.value("calls", 0ULL), result.value("failed", 0ULL),
                result.value("mixed", 0ULL), opener.opened.load(), opener.refused.load(), opener.hung.load());
    if (opener.refused > 0) std::printf("the last refusal: %s\n", opener.refusal.c_str());
    EXPECT_GT(result.value("calls", 0), 1000) << result;
    EXPECT_EQ(result.value("failed", -1), 0) << result;
    EXPECT_EQ(result.value("mixed", -1), 0) << result;
    EXPECT_EQ(opener.hung, 0) << opener.refusal;
    EXPECT_EQ(static_hosts(), before) << "static PDs go on";
    EXPECT_TRUE(eventually([] { return pd_state("adsp", "audio") == "running"; }));
}

} // namespace

TEST(Restart, fifty_restarts_under_load_lose_nothing) {
    survive("restarted", 50, [](int) { output({"/usr/bin/systemctl", "restart", "fastrpcd"}); });
}

TEST(Restart, fifty_kills_under_load_lose_nothing) {
    survive("killed", 50, [](int pid) { ::kill(pid, SIGKILL); });
}

TEST(Restart, an_upgrade_of_the_packages_under_load_loses_nothing) {
    const auto version = [] {
        return output({"/usr/bin/dpkg-query", "--show", "--showformat=${Version}\\n", "fastrpcd"});
    };
    const auto programs_gone = [] { // running programs whose files were replaced
        int gone = 0;
        std::error_code ignored;
        for (const ProcessFacts& each : our_processes())
            gone += std::filesystem::read_symlink("/proc/" + std::to_string(each.pid) + "/exe", ignored)
                        .string()
                        .ends_with(" (deleted)");
        return gone;
    };
    const std::string before = version();
    survive("upgraded", 1, [](int) {
        const Words apt{"/usr/bin/apt-get",
                        "--quiet=2",
                        "--yes",
                        "-o",
                        "Dir::Etc::SourceList=/test/upgrade/sources.list",
                        "-o",
                        "Dir::Etc::SourceParts=-",
                        "-o",
                        "APT::Sandbox::User=root"};
        for (const char* verb : {"update", "upgrade"}) {
            Words words = apt;
            words.emplace_back(verb);
            output(std::move(words));
        }
    });
    EXPECT_EQ(version(), before + "+upgrade");
    const int old_hosts = programs_gone();
    std::printf("%s -> %s; %d hosts of before go on\n", before.c_str(), version().c_str(), old_hosts);
    EXPECT_GE(old_hosts, 4) << "static PDs are served by the programs of before";
    EXPECT_EQ(output({"/usr/bin/systemctl", "list-units", "--failed", "--plain", "--no-legend"}), "");
}

TEST(Restart, a_fastrpcd_that_cannot_start_is_tried_at_a_bounded_rate_and_comes_back) {
    const auto before = static_hosts();
    output({"/bin/mkdir", "-p", "/run/systemd/system/fastrpcd.service.d"});
    output({"/bin/sh", "-c",
            "printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' "
            ">/run/systemd/system/fastrpcd.service.d/90-broken.conf; systemctl daemon-reload"});
    run({"/usr/bin/systemctl", "restart", "fastrpcd"});
    const std::string counter = show("fastrpcd", "NRestarts");
    std::this_thread::sleep_for(10s);
    const int starts = std::stoi(output(
        {"/bin/sh", "-c", "journalctl --quiet --output=cat --unit=fastrpcd.service --since=-10s | grep -c ^Starting"}));
    std::printf("starts of a broken fastrpcd in 10 s: %d\n", starts);
    EXPECT_GT(starts, 2) << "it is tried again, from " << counter;
    EXPECT_LT(starts, 60) << "four hosts that knock do not make a loop";
    output({"/bin/sh", "-c", "rm /run/systemd/system/fastrpcd.service.d/90-broken.conf; systemctl daemon-reload"});
    EXPECT_TRUE(eventually([] { return show("fastrpcd", "ActiveState") == "active"; })) << "nobody had to do anything";
    EXPECT_TRUE(eventually([] { return pd_state("adsp", "audio") == "running"; }));
    EXPECT_EQ(show("fastrpcd-control.socket", "ActiveState"), "active");
    EXPECT_EQ(static_hosts(), before);
    EXPECT_EQ(call(member, {"--calls", "1"})["exit"], 0);
}

TEST(Restart, one_that_hangs_is_found_by_the_watchdog) {
    const auto before = static_hosts();
    const std::string old = show("fastrpcd", "MainPID");
    output({"/bin/sh", "-c",
            "printf '[Service]\\nWatchdogSec=3s\\n' "
            ">/run/systemd/system/fastrpcd.service.d/91-watchdog.conf; systemctl daemon-reload"});
    output({"/usr/bin/systemctl", "restart", "fastrpcd"});
    const std::string pid = show("fastrpcd", "MainPID");
    ::kill(std::stoi(pid), SIGSTOP);
    EXPECT_TRUE(eventually([&] {
        const std::string now = show("fastrpcd", "MainPID");
        return now != pid && now != "0" && show("fastrpcd", "ActiveState") == "active";
    })) << "a stopped event loop was not noticed";
    output({"/bin/sh", "-c", "rm /run/systemd/system/fastrpcd.service.d/91-watchdog.conf; systemctl daemon-reload"});
    output({"/usr/bin/systemctl", "restart", "fastrpcd"});
    EXPECT_EQ(static_hosts(), before);
}
