// The booted machine: what runs, how soon, and with which rights.
#include "tests/system/machine.hpp"

#include <ctime>

using namespace fastrpc;
using namespace fastrpc::test;

TEST(Boot, the_audio_pd_runs_without_anybody_asking) {
    ASSERT_TRUE(eventually([] { return pd_state("adsp", "audio") == "running"; }, 120s)) << ctl(root, {"list"});
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const double started =
        std::stod(output({"/usr/bin/systemctl", "show", "--value", "-p", "UserspaceTimestampMonotonic"}));
    std::printf("from the start of systemd to the audio PD running: %.2f s\n",
                static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9 - started / 1e6);
}

TEST(Boot, everything_that_was_wanted_is_up_and_nothing_failed) {
    run({"/usr/bin/systemctl", "is-system-running", "--wait"});
    EXPECT_EQ(output({"/usr/bin/systemctl", "list-units", "--failed", "--plain", "--no-legend"}), "");
    for (const auto& [domain, pd] :
         {std::pair("adsp", "root"), {"adsp", "audio"}, {"adsp", "sensors"}, {"cdsp", "root"}})
        EXPECT_TRUE(eventually([&] { return pd_state(domain, pd) == "running"; })) << domain << ' ' << pd;
    EXPECT_EQ(active_units("fastrpc-pd@*").size(), 4U);
}

TEST(Boot, every_process_has_its_own_user_no_capability_and_a_filter) {
    const std::string fastrpcd = output({"/usr/bin/id", "-u", "fastrpcd"});
    const std::string host = output({"/usr/bin/id", "-u", "fastrpc-host"});
    std::size_t hosts = 0;
    for (const ProcessFacts& each : our_processes()) {
        const bool broker = each.name == "fastrpcd.service";
        hosts += broker ? 0 : 1;
        EXPECT_TRUE(status_line(each.pid, "Uid").starts_with((broker ? fastrpcd : host) + "\t")) << each.name;
        for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd"})
            EXPECT_EQ(status_line(each.pid, set), "0000000000000000") << each.name << ' ' << set;
        EXPECT_EQ(status_line(each.pid, "NoNewPrivs"), "1") << each.name;
        EXPECT_EQ(status_line(each.pid, "Seccomp"), "2") << each.name;
    }
    EXPECT_GE(hosts, 4U);
}

TEST(Boot, the_level_of_the_log_changes_while_it_runs_and_only_root_changes_it) {
    const auto level = [](const std::string& user, Words more) {
        more.insert(more.begin(), {"/usr/bin/systemctl", "service-log-level", "fastrpcd.service"});
        return run(as(user, std::move(more)));
    };
    EXPECT_EQ(level(root, {}).output, "info\n");
    EXPECT_EQ(level(root, {"debug"}).code, 0) << level(root, {"debug"}).errors;
    EXPECT_EQ(level(root, {}).output, "debug\n");
    EXPECT_NE(level(root, {"chatty"}).code, 0);
    EXPECT_NE(level(stranger, {"err"}).code, 0);
    EXPECT_EQ(level(root, {}).output, "debug\n");
    EXPECT_EQ(level(root, {"info"}).code, 0);
}

TEST(Boot, a_host_with_the_capability_has_lost_it_once_its_pd_runs) {
    // The virtual SoC's drop-in, for the unit that no virtual node asks for.
    output({"/bin/cp", "-r", "/run/systemd/system/fastrpc-pd@.service.d",
            "/run/systemd/system/fastrpc-pd-privileged@.service.d"});
    output({"/usr/bin/systemctl", "daemon-reload"});
    output({"/usr/bin/systemctl", "start", "fastrpc-pd-privileged@adsp-sensors.service"});
    EXPECT_EQ(show("fastrpc-pd@adsp-sensors.service", "ActiveState"), "inactive") << "one PD has one host";
    EXPECT_TRUE(eventually([] { return pd_state("adsp", "sensors") == "running"; })) << ctl(root, {"list"});
    const int pid = std::stoi(show("fastrpc-pd-privileged@adsp-sensors.service", "MainPID"));
    for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapAmb"})
        EXPECT_EQ(status_line(pid, set), "0000000000000000") << set;
    EXPECT_EQ(status_line(pid, "CapBnd"), "0000000000200000") << "it was there";
    output({"/usr/bin/systemctl", "start", "fastrpc-pd@adsp-sensors.service"});
    EXPECT_EQ(show("fastrpc-pd-privileged@adsp-sensors.service", "ActiveState"), "inactive");
    EXPECT_TRUE(eventually([] { return pd_state("adsp", "sensors") == "running"; })) << ctl(root, {"list"});
}
