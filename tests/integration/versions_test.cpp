// fastrpcd and hosts of different releases, as an upgrade leaves them side by side: calls go on, nothing is lost.
//
// The others are tests/fixtures. FASTRPC_OLD_PROGRAMS names a directory with a real fastrpcd and fastrpc-pd of an older
// release instead of theirs.
#include "tests/integration/leaks.hpp"

#include <cstdlib>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

struct Programs {
    std::filesystem::path fastrpcd, host;
};
Programs ours() {
    return {stack::build_root() / "broker/fastrpcd", stack::build_root() / "daemon/host/fastrpc-pd"};
}
Programs of(const std::string& release) {
    if (const char* real = std::getenv("FASTRPC_OLD_PROGRAMS"); real != nullptr && release == "old")
        return {std::filesystem::path(real) / "fastrpcd", std::filesystem::path(real) / "fastrpc-pd"};
    const auto fixtures = stack::build_root() / "tests/fixtures";
    return {fixtures / ("fastrpcd-" + release), fixtures / ("fastrpc-pd-" + release)};
}

System start(const Programs& programs, bool root_hosts) {
    stack::Options options;
    options.fastrpcd = programs.fastrpcd;
    options.host = programs.host;
    options.root_hosts = root_hosts;
    return start_system(options);
}

void restart_as(stack::Stack& system, const Programs& programs) {
    system.install(programs.fastrpcd, programs.host);
    system.kill_fastrpcd();
    const Status started = system.start_fastrpcd();
    ASSERT_TRUE(started) << started.error().text << system.log();
}

json sessions(const stack::Stack& system) {
    return ctl_list(system).value("sessions", json::array());
}
json session_with(const stack::Stack& system, const std::string& label) {
    for (const json& session : sessions(system))
        if (session.value("label", "") == label) return session;
    return json::object();
}
std::filesystem::path program_of(const json& session) {
    return std::filesystem::read_symlink("/proc/" + std::to_string(session.value("pid", 0)) + "/exe");
}
json ctl(const stack::Stack& system, std::vector<std::string> words) {
    words.emplace_back("--json");
    const auto outcome = stack::run(system.client("ctl/fastrpcctl", words, ""));
    if (!outcome) return {{"error", outcome.error().text}};
    json parsed = json::parse(outcome->output, nullptr, false);
    return outcome->code == 0 ? parsed : json{{"error", outcome->output + outcome->errors}};
}

} // namespace

TEST(Versions, sessions_and_pds_of_old_hosts_go_on_under_a_new_fastrpcd_and_obey_it) {
    const auto system = start(of("old"), true);
    Caller caller(*system, {"--threads", "2", "--label", "old"}), doomed(*system, {"--label", "doomed"});
    ASSERT_TRUE(caller.calling() && doomed.calling());
    const json before = session_with(*system, "old");
    ASSERT_EQ(program_of(before), std::filesystem::canonical(of("old").host));
    for (int upgrade = 0; upgrade < 3; ++upgrade) {
        restart_as(*system, ours());
        EXPECT_TRUE(stack::eventually([&] { return sessions(*system).size() == 2; })) << ctl_list(*system);
        EXPECT_EQ(session_with(*system, "old")["id"], before["id"]);
        EXPECT_EQ(session_with(*system, "old")["pid"], before["pid"]);
        EXPECT_EQ(session_with(*system, "old").value("host-version", "?"), "");
    }
    // Asked and ordered about, they answer and obey.
    const auto used = ctl(*system, {"session", "status", before.value("id", "")});
    EXPECT_FALSE(used.contains("error")) << used;
    EXPECT_GT(used.dump().size(), 100U) << used;
    if (system->has_cdsp_root()) {
        const auto root = [&] {
            for (const json& pd : ctl_list(*system).value("pds", json::array()))
                if (pd.value("domain", "") == "cdsp" && pd.value("pd", "") == "root") return pd;
            return json::object();
        };
        EXPECT_TRUE(stack::eventually([&] { return root().value("state", "") == "running"; })) << ctl_list(*system);
        const auto generation = root().value("generation", 0);
        EXPECT_FALSE(ctl(*system, {"pd", "restart", "cdsp", "root"}).contains("error"));
        EXPECT_TRUE(stack::eventually([&] {
            const json now = root();
            return now.value("generation", 0) > generation && now.value("state", "") == "running";
        })) << root();
    }
    EXPECT_FALSE(
        ctl(*system, {"session", "terminate", session_with(*system, "doomed").value("id", "")}).contains("error"));
    EXPECT_TRUE(doomed.failing());
    // Beside them everything new is of the new release.
    Caller fresh(*system, {"--label", "fresh"});
    ASSERT_TRUE(fresh.calling());
    EXPECT_EQ(program_of(session_with(*system, "fresh")), std::filesystem::canonical(ours().host));
    EXPECT_NE(session_with(*system, "fresh").value("host-version", ""), "");
    EXPECT_EQ(fresh.finish().value("failed", -1), 0);
    const json result = caller.finish();
    EXPECT_EQ(result.value("failed", -1), 0) << result;
    EXPECT_EQ(result.value("mixed", -1), 0) << result;
    EXPECT_GT(result.value("calls", 0), 100) << result;
    EXPECT_TRUE(stack::eventually([&] { return sessions(*system).empty(); })) << ctl_list(*system);
    EXPECT_EQ(system->log().find("protocol"), std::string::npos) << system->log();
}

// A package's files are there before fastrpcd is restarted.
TEST(Versions, new_hosts_work_under_the_old_fastrpcd_until_it_is_replaced) {
    const auto system = start({of("old").fastrpcd, ours().host}, std::getenv("FASTRPC_OLD_PROGRAMS") == nullptr);
    Caller caller(*system, {"--label", "between"});
    ASSERT_TRUE(caller.calling());
    const json before = session_with(*system, "between");
    EXPECT_EQ(program_of(before), std::filesystem::canonical(ours().host));
    if (std::getenv("FASTRPC_OLD_PROGRAMS") == nullptr) {
        restart_as(*system, {of("old").fastrpcd, ours().host});
        EXPECT_TRUE(stack::eventually([&] { return session_with(*system, "between").value("id", "") == before["id"]; }))
            << "it goes down to what the old one speaks\n"
            << system->log();
    }
    restart_as(*system, ours());
    EXPECT_TRUE(stack::eventually([&] { return session_with(*system, "between").value("id", "") == before["id"]; }))
        << ctl_list(*system);
    EXPECT_EQ(caller.finish().value("failed", -1), 0);
}

TEST(Versions, a_host_that_fastrpcd_does_not_understand_keeps_its_session_and_fastrpcd_says_so) {
    const auto system = start(of("next"), false);
    Caller caller(*system, {"--threads", "2", "--label", "future"});
    ASSERT_TRUE(caller.calling());
    restart_as(*system, ours());
    const std::string line = "a host is not understood: it speaks version";
    EXPECT_TRUE(stack::eventually([&] { return system->log().find(line) != std::string::npos; })) << system->log();
    EXPECT_TRUE(sessions(*system).empty());
    EXPECT_EQ(call(*system, {"--calls", "10"}).value("failed", -1), 0) << "others are served";
    const json result = caller.finish();
    EXPECT_EQ(result.value("failed", -1), 0) << result;
    EXPECT_GT(result.value("calls", 0), 100) << result;
    const std::string log = system->log();
    EXPECT_EQ(log.find(line, log.find(line) + 1), std::string::npos) << "once, not with each try\n" << log;
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).empty(); })) << "and it ends with its client";
}
