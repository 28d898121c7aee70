// What can be said of the units and udev rules without booting them.
#include "base/message_ids.hpp"
#include "tests/stack/stack.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

using namespace fastrpc;

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> sandboxed{"fastrpcd.service",
                                         "fastrpc-session@.service",
                                         "fastrpc-pd@.service",
                                         "fastrpc-session-privileged@.service",
                                         "fastrpc-pd-privileged@.service",
                                         "fastrpcd-metrics@.service"};

std::string read_file(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

fs::path unit_file(const std::string& name) {
    const fs::path built = stack::build_root() / "systemd" / name;
    return fs::exists(built) ? built : stack::source_root() / "systemd" / name;
}

stack::Outcome run(std::vector<std::string> command) {
    auto outcome = stack::run({.command = std::move(command)});
    EXPECT_TRUE(outcome) << outcome.error().text;
    return outcome.value_or(stack::Outcome{});
}

/// Whether systemd gives the unit at most 1.5 of its 10 points of exposure.
stack::Outcome judge(const fs::path& unit) {
    return run({"/usr/bin/systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", unit});
}

/// Everything that udev would do with a device of `sysfs`, a directory that stands for /sys, as `udevadm test` says it.
std::string ask_udev(const fs::path& sysfs, const fs::path& scratch, const std::string& device) {
    const fs::path log = scratch / "udev.log";
    const pid_t child = ::fork();
    if (child == 0) {
        // The rules and devices of the test alone, in a place of its own.
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", "/run", "tmpfs", 0, nullptr) != 0 || ::mkdir("/run/udev", 0755) != 0 ||
            ::mkdir("/run/udev/rules.d", 0755) != 0 || ::mount(sysfs.c_str(), "/sys", nullptr, MS_BIND, nullptr) != 0)
            ::_exit(100);
        fs::copy_file(stack::source_root() / "systemd/60-fastrpcd.rules", "/run/udev/rules.d/60-fastrpcd.rules");
        const int fd = ::open(log.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ::dup2(fd, STDOUT_FILENO);
        ::dup2(fd, STDERR_FILENO);
        ::setenv("SYSTEMD_DEVICE_VERIFY_SYSFS", "0", 1);
        ::execl("/usr/bin/udevadm", "udevadm", "test", "--action=add", ("/sys" + device).c_str(), nullptr);
        ::_exit(101);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_LT(WEXITSTATUS(status), 100) << "udevadm could not be asked";
    std::string text = read_file(log);
    fs::remove(log);
    return text;
}

/// A machine's /sys, as far as the rules look at it.
struct Sysfs {
    test::Scratch scratch;
    fs::path root = scratch.directory("sys");

    Sysfs() {
        ::chmod(scratch.path().c_str(), 0755);
        scratch.directory("sys/class");
    }
    /// A character device; gives its path below /sys.
    std::string add(const std::string& parent, const std::string& subsystem, const std::string& name) const {
        const std::string device = parent + "/" + subsystem + "/" + name;
        scratch.directory("sys" + device);
        scratch.directory("sys/class/" + subsystem);
        scratch.file("sys" + device + "/uevent", "MAJOR=10\nMINOR=120\nDEVNAME=" + name + "\n");
        scratch.file("sys" + device + "/dev", "10:120\n");
        fs::create_directory_symlink("/sys/class/" + subsystem, root / device.substr(1) / "subsystem");
        return device;
    }
    [[nodiscard]] std::string ask(const std::string& device) const { return ask_udev(root, scratch.path(), device); }
    static std::string wants(const std::string& answer) {
        const std::size_t at = answer.find("SYSTEMD_WANTS=");
        return at == std::string::npos ? "" : answer.substr(at + 14, answer.find('\n', at) - at - 14);
    }
};

} // namespace

TEST(Units, systemd_finds_no_more_than_a_point_and_a_half_against_each) {
    for (const std::string& unit : sandboxed) {
        const stack::Outcome judged = judge(unit_file(unit));
        EXPECT_EQ(judged.code, 0) << judged.output << judged.errors;
        const std::size_t at = judged.output.find("Overall exposure");
        if (at != std::string::npos) std::printf("%s", judged.output.substr(at).c_str());
    }
}

TEST(Units, one_without_its_sandbox_would_be_noticed) {
    const test::Scratch scratch;
    std::string text = read_file(unit_file("fastrpc-session@.service"));
    const std::size_t filter = text.find("SystemCallFilter=");
    ASSERT_NE(filter, std::string::npos);
    text.erase(filter, text.find("UMask=") - filter);
    scratch.file("fastrpc-session@.service", text);
    EXPECT_NE(judge(scratch.path("fastrpc-session@.service")).code, 0);
}

TEST(Units, systemd_understands_every_word_of_them) {
    const test::Scratch scratch;
    for (const char* name : {"fastrpc.slice", "fastrpcd-control.socket", "fastrpcd-metrics.socket",
                             "fastrpc-session.socket", "fastrpc-session-privileged.socket"}) {
        fs::copy_file(unit_file(name), scratch.path(name));
    }
    std::vector<std::string> command{"/usr/bin/systemd-analyze", "verify", "--recursive-errors=no", "--man=no"};
    for (const std::string& name : sandboxed) {
        // Of an installation that is not there.
        std::string text = read_file(unit_file(name));
        for (const std::string key : {"\nExecStart=", "\nExecReload="})
            if (const std::size_t at = text.find(key); at != std::string::npos)
                text.replace(at, text.find('\n', at + 1) - at, key + "/bin/true");
        scratch.file(name, text);
        command.push_back(scratch.path(name));
    }
    const stack::Outcome verified = run(command);
    std::istringstream lines(verified.errors);
    for (std::string line; std::getline(lines, line);) EXPECT_EQ(line.find("fastrpc"), std::string::npos) << line;
}

TEST(Udev, misc_nodes_are_the_hosts_and_want_the_static_pds_of_their_dsp) {
    const Sysfs sys;
    for (const auto& [node, wanted] : {
             std::pair<std::string, std::string>{"fastrpc-adsp", "fastrpc-pd@adsp-root.service "
                                                                 "fastrpc-pd@adsp-audio.service "
                                                                 "fastrpc-pd@adsp-sensors.service"},
             {"fastrpc-adsp-secure", "fastrpc-pd@adsp-root.service fastrpc-pd@adsp-audio.service "
                                     "fastrpc-pd@adsp-sensors.service"},
             {"fastrpc-sdsp", "fastrpc-pd@sdsp-root.service fastrpc-pd@sdsp-sensors.service"},
             {"fastrpc-cdsp", "fastrpc-pd@cdsp-root.service"},
             {"fastrpc-cdsp1-secure", "fastrpc-pd@cdsp1-root.service"},
             {"fastrpc-gdsp0", "fastrpc-pd@gdsp0-root.service"},
             {"fastrpc-gdsp1", "fastrpc-pd@gdsp1-root.service"},
             {"fastrpc-mdsp", ""},
         }) {
        const std::string answer = sys.ask(sys.add("/devices/virtual", "misc", node));
        EXPECT_EQ(Sysfs::wants(answer), wanted) << answer;
        EXPECT_NE(answer.find("MODE 0660"), std::string::npos) << answer;
        EXPECT_NE(answer.find("GROUP"), std::string::npos) << answer;
    }
}

TEST(Udev, a_driver_that_wants_a_capability_gets_hosts_that_have_it) {
    const Sysfs sys;
    sys.scratch.directory("sys/module/qda_fastrpc_shim");
    EXPECT_EQ(Sysfs::wants(sys.ask(sys.add("/devices/virtual", "misc", "fastrpc-cdsp"))),
              "fastrpc-session-privileged.socket fastrpc-pd-privileged@cdsp-root.service");
}

TEST(Udev, an_accel_node_is_known_by_its_device_tree) {
    const Sysfs sys;
    const auto add = [&](const std::string& compatible, const std::string& label, const std::string& node) {
        const std::string parent = "/devices/platform/" + label;
        sys.scratch.directory("sys" + parent + "/of_node");
        sys.scratch.directory("sys/class/platform");
        sys.scratch.file("sys" + parent + "/uevent", "");
        fs::create_directory_symlink("/sys/class/platform", sys.root / parent.substr(1) / "subsystem");
        sys.scratch.file("sys" + parent + "/of_node/compatible", compatible);
        sys.scratch.file("sys" + parent + "/of_node/label", label);
        return sys.add(parent, "accel", node);
    };
    const std::string ours = sys.ask(add("qcom,fastrpc", "cdsp", "accel0"));
    EXPECT_EQ(Sysfs::wants(ours), "fastrpc-session-privileged.socket fastrpc-pd-privileged@cdsp-root.service") << ours;
    EXPECT_NE(ours.find("MODE 0660"), std::string::npos) << ours;
    const std::string other = sys.ask(add("intel,vpu", "npu", "accel1"));
    EXPECT_EQ(Sysfs::wants(other), "") << other;
    EXPECT_EQ(other.find("MODE 0660"), std::string::npos) << other;
}

TEST(Udev, other_devices_are_left_alone) {
    const Sysfs sys;
    const std::string answer = sys.ask(sys.add("/devices/virtual", "misc", "uinput"));
    EXPECT_EQ(answer.find("MODE 0660"), std::string::npos) << answer;
    EXPECT_EQ(Sysfs::wants(answer), "");
}

TEST(Catalog, explains_each_kind_of_line_and_no_other) {
    const fastrpc::test::Scratch scratch;
    scratch.directory("root/usr/lib/systemd/catalog");
    const fs::path place = scratch.path("root");
    fs::copy_file(stack::source_root() / "systemd/fastrpcd.catalog",
                  place / "usr/lib/systemd/catalog/fastrpcd.catalog");
    fs::create_directories(place / "var/lib/systemd/catalog");
    const auto made = run({"/usr/bin/journalctl", "--root=" + place.string(), "--update-catalog"});
    ASSERT_EQ(made.code, 0) << made.errors;
    const auto listed = run({"/usr/bin/journalctl", "--root=" + place.string(), "--list-catalog"});
    std::vector<std::string> known;
    for (const std::string_view id : message_id::decisions) known.emplace_back(id);
    known.emplace_back(message_id::policy_loaded);
    known.emplace_back(message_id::policy_broken);
    for (const std::string& id : known) EXPECT_NE(listed.output.find(id + " fastrpcd: "), std::string::npos) << id;
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(listed.output, '\n')), known.size()) << listed.output;
}
