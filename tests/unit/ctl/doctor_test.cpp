// fastrpcctl doctor on a healthy machine of files and on broken ones: each fault is found by its name, with a way out.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <fstream>
#include <sys/stat.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;

namespace {

namespace fs = std::filesystem;

class CtlDoctor : public testing::Test {
protected:
    PrivateSystem system{{.start = false}};

    // A machine with one DSP, as it should be. Hosts run as root in these tests: the files are root's.
    void SetUp() override {
        system.add_node("fastrpc-cdsp");
        mode("dev/fastrpc-cdsp", 0660);
        system.write("dev/dma_heap/system", "");
        system.write("proc/1/comm", "systemd\n");
        system.write("sys/module/fastrpc/version", "1\n");
        system.write("sys/class/remoteproc/remoteproc0/name", "cdsp\n");
        system.write("sys/class/remoteproc/remoteproc0/state", "running\n");
        system.write("sys/class/remoteproc/remoteproc0/firmware", "qcom/cdsp.mbn\n");
        system.write("lib/firmware/qcom/cdsp.mbn", image("CDSP.HT.2.5-1"));
        system.write("usr/lib/dsp/cdsp/fastrpc_shell_3", image("CDSP.HT.2.5-1"));
        system.write("usr/lib/dsp/cdsp/fastrpc_shell_unsigned_3", image("CDSP.HT.2.5-1"));
    }
    static std::string image(const std::string& build) {
        return std::string("\x7f"
                           "ELF\0\0\0",
                           7) +
               "QC_IMAGE_VERSION_STRING=" + build + std::string("\0tail", 5);
    }
    void mode(const std::string& path, mode_t bits) const {
        ASSERT_EQ(::chmod((system.machine() / path).c_str(), bits), 0);
    }
    void remove(const std::string& path) const { ASSERT_GT(fs::remove_all(system.machine() / path), 0U) << path; }

    struct Report {
        int code = -1;
        json all;
        /// The finding that has failed, or warns, of this check.
        [[nodiscard]] json finding(const std::string& check, const std::string& verdict) const {
            for (const json& one : all.value("findings", json::array()))
                if (one["check"] == check && one["verdict"] == verdict) return one;
            return json::object();
        }
    };
    Report doctor(const std::string& host_user = "root") {
        const Outcome outcome =
            system.ctl({"doctor", "--json", "--machine-root", system.machine().string(), "--host-user", host_user});
        Report report{outcome.code, json::parse(outcome.output, nullptr, false)};
        EXPECT_TRUE(report.all.is_object()) << outcome.output << outcome.errors;
        return report;
    }
    void expect_fault(const std::string& check, const std::string& text, const std::string& fix,
                      const std::string& verdict = "failed") {
        const Report report = doctor();
        const json finding = report.finding(check, verdict);
        ASSERT_FALSE(finding.empty()) << check << '\n' << report.all.dump(1);
        EXPECT_TRUE(has(finding["text"], text)) << finding.dump(1);
        EXPECT_TRUE(has(finding["fix"], fix)) << finding.dump(1);
        EXPECT_EQ(report.code, report.all["failed"] == 0 ? 0 : 1);
    }
};

} // namespace

TEST_F(CtlDoctor, a_healthy_machine_has_no_fault_and_exit_code_0) {
    system.start_fastrpcd();
    const Report report = doctor();
    EXPECT_EQ(report.all["failed"], 0) << report.all.dump(1);
    EXPECT_EQ(report.code, 0);
    for (const char* check : {"driver", "node", "rights", "remoteproc", "firmware", "shell", "build", "modules", "heap",
                              "conflict", "fastrpcd", "policy", "domain", "slots", "contexts", "files"})
        EXPECT_FALSE(report.finding(check, "ok").empty()) << check << '\n' << report.all.dump(1);
}

TEST_F(CtlDoctor, every_fault_has_something_to_do_and_every_finding_a_text) {
    remove("dev/dma_heap");
    remove("usr/lib/dsp/cdsp/fastrpc_shell_3");
    system.write("proc/77/comm", "cdsprpcd\n");
    const Report report = doctor();
    EXPECT_GE(report.all["failed"].get<int>(), 4); // fastrpcd does not run either
    for (const json& one : report.all["findings"]) {
        EXPECT_FALSE(one["text"].get<std::string>().empty()) << one.dump();
        EXPECT_TRUE(one["verdict"] == "ok" || !one["fix"].get<std::string>().empty()) << one.dump();
    }
}

TEST_F(CtlDoctor, checks_the_machine_when_fastrpcd_does_not_run) {
    expect_fault("fastrpcd", "fastrpcd is not running", "systemctl start fastrpcd");
    EXPECT_FALSE(doctor().finding("shell", "ok").empty());
}

TEST_F(CtlDoctor, finds_a_kernel_without_a_driver) {
    remove("dev/fastrpc-cdsp");
    remove("sys/module/fastrpc");
    expect_fault("driver", "no FastRPC driver", "modprobe fastrpc");
}

TEST_F(CtlDoctor, finds_a_driver_that_made_no_node) {
    remove("dev/fastrpc-cdsp");
    expect_fault("driver", "has made no node", "journalctl -k");
    expect_fault("node", "the DSP has no node", "device tree");
}

TEST_F(CtlDoctor, finds_a_node_that_hosts_may_not_open_and_one_that_everybody_may) {
    const json closed = doctor("nobody").finding("rights", "failed");
    ASSERT_FALSE(closed.empty());
    EXPECT_TRUE(has(closed["text"], "hosts run as nobody, who may not open it (mode 0660")) << closed.dump();
    EXPECT_TRUE(has(closed["fix"], "60-fastrpcd.rules")) << closed.dump();
    const json nobody_there = doctor("no-such-user").finding("rights", "failed");
    EXPECT_EQ(nobody_there["fix"], "systemd-sysusers");
    mode("dev/fastrpc-cdsp", 0666);
    expect_fault("rights", "every user may open it", "chmod o-rwx", "warning");
}

TEST_F(CtlDoctor, finds_firmware_that_is_missing_and_a_dsp_that_nobody_started) {
    system.write("sys/class/remoteproc/remoteproc0/state", "offline\n");
    expect_fault("remoteproc", "nobody has started remoteproc cdsp", "write start");
    remove("lib/firmware/qcom/cdsp.mbn");
    expect_fault("firmware", "qcom/cdsp.mbn is not in /lib/firmware", "install qcom/cdsp.mbn");
}

TEST_F(CtlDoctor, finds_a_dsp_that_has_crashed) {
    system.write("sys/class/remoteproc/remoteproc0/state", "crashed\n");
    expect_fault("remoteproc", "has crashed", "journalctl -k -g remoteproc");
}

TEST_F(CtlDoctor, finds_a_shell_that_is_missing) {
    remove("usr/lib/dsp/cdsp/fastrpc_shell_unsigned_3");
    expect_fault("shell", "fastrpc_shell_unsigned_3 is in none of", "same build");
}

TEST_F(CtlDoctor, finds_a_shell_of_another_build_than_the_firmware) {
    system.write("usr/lib/dsp/cdsp/fastrpc_shell_3", image("CDSP.HT.2.5-9"));
    expect_fault("build", "the firmware is of build CDSP.HT.2.5-1 and fastrpc_shell_3 of build CDSP.HT.2.5-9",
                 "of one build");
}

TEST_F(CtlDoctor, finds_a_machine_without_memory_for_buffers) {
    remove("dev/dma_heap");
    expect_fault("heap", "neither a dma-heap nor udmabuf", "CONFIG_DMABUF_HEAPS_SYSTEM");
    system.write("dev/udmabuf", "");
    expect_fault("heap", "buffers come from udmabuf", "CONFIG_DMABUF_HEAPS_SYSTEM", "warning");
}

TEST_F(CtlDoctor, finds_the_daemons_that_it_replaces_running_or_enabled) {
    system.write("proc/311/comm", "adsprpcd\n");
    expect_fault("conflict", "adsprpcd runs (pid 311)", "systemctl disable --now");
    system.write("etc/systemd/system/multi-user.target.wants/hexagonrpcd-adsp-rootpd.service", "");
    expect_fault("conflict", "hexagonrpcd-adsp-rootpd.service is enabled", "systemctl disable --now", "warning");
    EXPECT_TRUE(doctor().finding("conflict", "ok").empty());
}

TEST_F(CtlDoctor, finds_a_policy_that_gives_this_user_nothing_and_says_what_would) {
    system.start_fastrpcd();
    const Outcome outcome = system.ctl_as(1, {"doctor", "--json", "--machine-root", system.machine().string()});
    const json report = json::parse(outcome.output, nullptr, false);
    bool found = false;
    for (const json& one : report["findings"])
        found = found || (one["check"] == "policy" && one["verdict"] == "ok" && has(one["text"], "many-lanes"));
    EXPECT_TRUE(found) << outcome.output;
    const Outcome stranger = system.ctl_as(3, {"doctor", "--machine-root", system.machine().string()});
    EXPECT_TRUE(has(stranger.output, "warning  policy cdsp unsigned: you may not: ")) << stranger.output;
}

TEST_F(CtlDoctor, finds_a_policy_whose_reload_failed) {
    system.start_fastrpcd();
    std::ofstream(system.directory() / "policy.d/90-broken.json") << "{";
    EXPECT_EQ(system.ctl({"policy", "reload"}).code, 2);
    expect_fault("policy", "90-broken.json", "fastrpcctl policy reload");
}

TEST_F(CtlDoctor, finds_static_pds_that_failed_and_files_that_the_dsp_did_not_get) {
    system.start_fastrpcd();
    FakeHost host = system.connect_control();
    Description about = root_of(Domain::cdsp, PdState::failed);
    about.reason = "no remote heap";
    ASSERT_EQ(host.described(about), 0U);
    std::thread answering([&] {
        EXPECT_TRUE(host.answer_files({false,
                                       {{.sequence = 1,
                                         .name = "libmissing.so",
                                         .places = {"/usr/lib/dsp"},
                                         .problem = "not found",
                                         .refusals = 2}}}));
    });
    const Report report = doctor();
    answering.join();
    EXPECT_EQ(report.finding("pd", "failed")["text"], "failed: no remote heap") << report.all.dump(1);
    EXPECT_TRUE(has(report.finding("files", "warning").value("text", ""), "1 files in vain: libmissing.so"))
        << report.all.dump(1);
}

TEST_F(CtlDoctor, looks_at_this_machine_alone) {
    const Outcome outcome = system.ctl({"-H", "there", "doctor"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_TRUE(has(outcome.errors, "doctor looks at this machine itself")) << outcome.errors;
}
