// fastrpcctl doctor on the booted machine: nothing to complain of when all is well, and on broken machines the one
// finding that says what is broken, with what to do.
#include "tests/system/machine.hpp"
#include "tests/system/own_rules.hpp"

#include <algorithm>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* soc = "/run/fastrpc-vdsp/socket";
constexpr const char* dsp_files = "/usr/lib/dsp";

void shell(const std::string& command) {
    output({"/bin/sh", "-c", command});
}

Words with_soc(Words more) {
    more.insert(more.begin(), {"/usr/bin/fastrpc-vdsp", "--socket", soc, "run", "--"});
    return more;
}

struct Report {
    int code = -1;
    json all;
    [[nodiscard]] std::vector<json> findings(const std::string& verdict) const {
        std::vector<json> found;
        for (const json& each : all.value("findings", json::array()))
            if (each["verdict"] == verdict) found.push_back(each);
        return found;
    }
};

/// As root, who sees the nodes of the virtual SoC as hosts do.
Report examine() {
    const stack::Outcome done = run(with_soc({"/usr/bin/fastrpcctl", "doctor", "--json=short"}));
    Report report{done.code, json::parse(done.output, nullptr, false)};
    EXPECT_TRUE(report.all.is_object()) << done.output << done.errors;
    return report;
}

bool pds_run() {
    const json pds = ctl(root, {"list"}).value("pds", json::array());
    return pds.size() == 4 && std::ranges::all_of(pds, [](const json& each) { return each["state"] == "running"; });
}

/// The finding, printed, or nothing.
void expect_finding(const Report& report, const std::string& machine, const std::string& check, const std::string& part,
                    const std::string& verdict = "failed") {
    const auto found = report.findings(verdict);
    const auto it = std::ranges::find_if(found, [&](const json& each) {
        return each["check"] == check && each["text"].get<std::string>().find(part) != std::string::npos;
    });
    ASSERT_NE(it, found.end()) << machine << ": no finding of \"" << check << "\" with \"" << part << "\" in "
                               << report.all.dump(1);
    std::printf("doctor, %s: %s %s: %s\n    to do: %s\n", machine.c_str(), check.c_str(),
                (*it)["subject"].get<std::string>().c_str(), (*it)["text"].get<std::string>().c_str(),
                (*it)["fix"].get<std::string>().c_str());
    EXPECT_NE((*it)["fix"], "") << "what to do";
    EXPECT_EQ(report.code, verdict == "failed" ? 1 : 0);
}

class Doctor : public testing::Test {
protected:
    // The files of the virtual DSPs, where the vendor's would be.
    static void SetUpTestSuite() { shell(std::string("ln -sfT /usr/share/fastrpcd/vdsp/dsp ") + dsp_files); }
    static void TearDownTestSuite() { shell(std::string("rm -f ") + dsp_files); }
    void SetUp() override { ASSERT_TRUE(eventually(pds_run)) << ctl(root, {"list"}); }

    /// Whoever broke the machine mended it: it is as it was.
    void TearDown() override {
        EXPECT_TRUE(eventually(pds_run)) << ctl(root, {"list"});
        EXPECT_TRUE(eventually([] { return examine().code == 0; })) << examine().all.dump(1);
    }
};

} // namespace

TEST_F(Doctor, finds_no_fault_in_a_healthy_machine) {
    const Report report = examine();
    EXPECT_EQ(report.code, 0) << report.all.dump(1);
    EXPECT_TRUE(report.findings("failed").empty()) << report.all.dump(1);
    std::printf("doctor, a healthy machine: %d ok, %d warnings, %d failed\n", report.all.value("ok", 0),
                report.all.value("warnings", 0), report.all.value("failed", 0));
    for (const char* check : {"driver", "node", "rights", "shell", "modules", "heap", "conflict", "fastrpcd", "domain",
                              "pd", "slots", "contexts"}) {
        const auto fine = report.findings("ok");
        EXPECT_TRUE(std::ranges::any_of(fine, [&](const json& each) { return each["check"] == check; })) << check;
    }
    const stack::Outcome text = run(with_soc({"/usr/bin/fastrpcctl", "doctor"}));
    EXPECT_EQ(text.code, 0);
    EXPECT_NE(text.output.find(" 0 failed\n"), std::string::npos) << text.output;
}

TEST_F(Doctor, finds_a_machine_without_the_files_of_its_dsps) {
    shell(std::string("rm ") + dsp_files);
    expect_finding(examine(), "no files of the DSPs", "shell", "fastrpc_shell_unsigned_3 is in none of");
    SetUpTestSuite();
}

TEST_F(Doctor, finds_a_dsp_that_is_down) {
    output({"/usr/bin/fastrpc-vdsp", "ctl", "--socket", soc, "down", "cdsp"});
    EXPECT_TRUE(eventually([] { return pd_state("cdsp", "root") != "running"; }));
    const Report report = examine();
    expect_finding(report, "a DSP that is down", "node", "the DSP has no node");
    output({"/usr/bin/fastrpc-vdsp", "ctl", "--socket", soc, "up", "cdsp"});
}

TEST_F(Doctor, finds_a_daemon_that_serves_a_dsp_beside_fastrpcd) {
    // As its package would have it: a unit that is enabled and started, which ends our hosts of its DSP (Conflicts=).
    const std::string unit = "/run/systemd/system/adsprpcd.service";
    shell("cp /bin/sleep /usr/local/bin/adsprpcd; printf '[Service]\\nExecStart=/usr/local/bin/adsprpcd 600\\n' >" +
          unit + "; systemctl daemon-reload; systemctl start adsprpcd");
    EXPECT_TRUE(eventually([] { return show("fastrpc-pd@adsp-root.service", "ActiveState") == "inactive"; }));
    expect_finding(examine(), "another daemon", "conflict", "adsprpcd runs");
    shell("systemctl stop adsprpcd; rm /usr/local/bin/adsprpcd " + unit + "; systemctl daemon-reload");
    shell("systemctl start fastrpc-pd@adsp-root fastrpc-pd@adsp-audio fastrpc-pd@adsp-sensors fastrpc-pd@cdsp-root");
}

TEST_F(Doctor, finds_a_policy_that_cannot_be_read) {
    const OwnRules rules("{\"rules\": [{\"name\": \"broken\" oops]}");
    EXPECT_NE(OwnRules::reload().code, 0);
    expect_finding(examine(), "a broken policy", "policy", OwnRules::file);
}

TEST_F(Doctor, finds_a_fastrpcd_that_cannot_start) {
    const std::string drop_in = "/run/systemd/system/fastrpcd.service.d/90-broken.conf";
    shell("printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >" + drop_in + "; systemctl daemon-reload");
    run({"/usr/bin/systemctl", "restart", "fastrpcd"});
    expect_finding(examine(), "a fastrpcd that cannot start", "fastrpcd", "fastrpcd has not answered");
    shell("rm " + drop_in + "; systemctl daemon-reload");
    EXPECT_TRUE(eventually([] { return show("fastrpcd", "ActiveState") == "active"; }));
}

TEST_F(Doctor, finds_that_this_user_may_not_and_says_what_would_change_that) {
    const json told = ctl(stranger, {"doctor"});
    const auto findings = told.value("findings", json::array());
    const auto it = std::ranges::find_if(
        findings, [](const json& each) { return each["check"] == "policy" && each["subject"] == "cdsp unsigned"; });
    ASSERT_NE(it, findings.end()) << told.dump(1);
    EXPECT_EQ((*it)["verdict"], "warning") << *it;
    EXPECT_NE((*it)["text"].get<std::string>().find("you may not"), std::string::npos) << *it;
    EXPECT_NE((*it)["fix"], "") << *it;
    std::printf("doctor, a user whom no rule allows: policy %s: %s\n    to do: %s\n",
                (*it)["subject"].get<std::string>().c_str(), (*it)["text"].get<std::string>().c_str(),
                (*it)["fix"].get<std::string>().c_str());
}
