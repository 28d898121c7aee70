// The installed daemon on a machine that has no DSP.
#include "tests/system/machine.hpp"

#include <algorithm>

using namespace fastrpc;
using namespace fastrpc::test;

TEST(NoDsp, the_machine_boots_with_fastrpcd_installed) {
    run({"/usr/bin/systemctl", "is-system-running", "--wait"});
    EXPECT_EQ(output({"/usr/bin/systemctl", "list-units", "--failed", "--plain", "--no-legend", "*fastrpc*"}), "");
    EXPECT_EQ(
        active_units("fastrpc*.socket"),
        (std::vector<std::string>{"fastrpc-session.socket", "fastrpcd-control.socket", "fastrpcd-metrics.socket"}));
}

TEST(NoDsp, fastrpcd_starts_with_the_machine_as_its_package_wants) {
    EXPECT_EQ(show("fastrpcd", "ActiveState"), "active");
    EXPECT_EQ(output({"/usr/bin/systemctl", "is-enabled", "fastrpcd"}), "enabled");
    const std::string ours =
        output({"/usr/bin/dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package} ${Version}\\n",
                "fastrpcd", "libfastrpc1", "libfastrpc-dev", "fastrpc-vdsp"});
    std::printf("%s\n", ours.c_str());
    EXPECT_EQ(std::ranges::count(ours, '\n'), 3) << ours;
}

TEST(NoDsp, fastrpcd_says_so_once_and_then_nothing) {
    const std::string said = output({"/usr/bin/journalctl", "--quiet", "--output=cat", "SYSLOG_IDENTIFIER=fastrpcd"});
    EXPECT_NE(said.find("no DSP"), std::string::npos) << said;
    const Journal journal;
    EXPECT_FALSE(eventually([&] { return !journal.lines().empty(); }, 10s)) << journal.lines();
}

TEST(NoDsp, a_session_is_refused_with_a_reason_and_fastrpcd_stays) {
    const json refused = call(member, {"--calls", "1"});
    EXPECT_EQ(refused["exit"], 3) << refused;
    EXPECT_NE(refused.value("error", ""), "") << refused;
    std::printf("what a member is told: %s\n", refused.value("error", "").c_str());
    EXPECT_EQ(show("fastrpcd", "ActiveState"), "active");
    EXPECT_EQ(show("fastrpcd", "NRestarts"), "0");
}

TEST(NoDsp, the_first_question_on_the_bus_starts_fastrpcd) {
    output({"/usr/bin/systemctl", "stop", "fastrpcd"});
    EXPECT_EQ(show("fastrpcd", "ActiveState"), "inactive") << "nobody has asked yet";
    const json list = ctl(stranger, {"list"});
    EXPECT_TRUE(list.value("sessions", json()).empty()) << list;
    EXPECT_EQ(show("fastrpcd", "ActiveState"), "active");
}
