// The main job, seen from outside: an unprivileged program runs its code on a DSP and never holds the device.
#include "tests/integration/system.hpp"

#include <cerrno>
#include <dirent.h>
#include <fstream>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class Session : public testing::Test {
protected:
    static void SetUpTestSuite() { system_ = start_system(); }
    static void TearDownTestSuite() { system_.reset(); }
    static System system_;
};
System Session::system_;

std::string sha256(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    std::array<unsigned char, 32> digest{};
    ::EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr);
    std::string text;
    for (const unsigned char byte : digest)
        text += "0123456789abcdef"[byte >> 4], text += "0123456789abcdef"[byte & 15];
    return text;
}

// Every fd of another process, duplicated into this one: the only way to ask a socket for its peer.
std::vector<std::pair<int, UniqueFd>> fds_of(pid_t pid) {
    std::vector<std::pair<int, UniqueFd>> result;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        const int number = std::stoi(entry.path().filename());
        UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
        if (!copy && errno == EBADF) continue; // closed since it was listed
        EXPECT_TRUE(copy) << "fd " << number;
        result.emplace_back(number, std::move(copy));
    }
    return result;
}

std::string peer_path(int fd) {
    sockaddr_un address{};
    socklen_t length = sizeof address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
    return address.sun_path;
}

} // namespace

TEST_F(Session, the_dsps_own_log_lines_come_out_beside_the_hosts) {
    const std::string begin = "fastrpc-dsp: info: the log of this PD begins FASTRPC_DOMAIN=adsp FASTRPC_PD=root";
    EXPECT_TRUE(stack::eventually([&] { return system_->log().find(begin) != std::string::npos; })) << system_->log();
}

TEST_F(Session, an_unprivileged_program_calls_its_own_module_on_the_dsp) {
    const json result = call(*system_, {"--calls", "200"});
    EXPECT_EQ(result.value("exit", -1), 0) << result;
    EXPECT_EQ(result.value("calls", 0), 200) << result;
    EXPECT_EQ(result.value("failed", -1), 0) << result;
    EXPECT_EQ(result.value("mixed", -1), 0) << result;
}

TEST_F(Session, the_client_holds_no_device_node_and_no_driver_connection) {
    Caller caller(*system_, {"--threads", "3"});
    ASSERT_TRUE(caller.calling());
    unsigned sockets = 0, pipes = 0;
    for (const auto& [number, fd] : fds_of(caller.pid())) {
        struct stat status {};
        ASSERT_EQ(::fstat(fd.get(), &status), 0);
        // /dev/null and the like are the only character devices; major 10 holds the misc devices, 261 accel.
        if (S_ISCHR(status.st_mode)) {
            EXPECT_EQ(major(status.st_rdev), 1U) << "fd " << number;
        }
        if (S_ISFIFO(status.st_mode)) ++pipes;
        if (S_ISSOCK(status.st_mode)) {
            ++sockets;
            EXPECT_NE(peer_path(fd.get()), system_->vdsp_socket().string()) << "fd " << number;
        }
    }
    EXPECT_GE(sockets, 1U) << "the session socket";
    EXPECT_GE(pipes, 9U) << "three of a shared lane per thread";

    // The check can fail: the host of this very session does hold one.
    bool host_has_one = false;
    for (const json& session : ctl_list(*system_).value("sessions", json::array()))
        for (const auto& [number, fd] : fds_of(session.value("pid", 0)))
            host_has_one = host_has_one || peer_path(fd.get()) == system_->vdsp_socket().string();
    EXPECT_TRUE(host_has_one);
    EXPECT_EQ(caller.finish().value("failed", -1), 0);
}

TEST_F(Session, the_module_reaches_the_dsp_through_reverse_calls_and_unchanged) {
    Caller caller(*system_, {"--label", "bytes"});
    ASSERT_TRUE(caller.calling());
    const std::filesystem::path file = module_directory() / "libtest_skel.so";
    // The PD of the test before may still be on its way out.
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system_).size() == 1; }));
    const auto pds = user_pds(*system_);
    ASSERT_EQ(pds.size(), 1U);
    const json modules = pds[0].value("modules", json::array());
    ASSERT_EQ(modules.size(), 1U) << pds[0];
    EXPECT_EQ(modules[0].value("sha256", ""), sha256(file));
    EXPECT_EQ(modules[0].value("size", 0U), std::filesystem::file_size(file));
    EXPECT_GT(pds[0].value("reverse_calls", 0), 2);
    const json sessions = ctl_list(*system_).value("sessions", json::array());
    ASSERT_EQ(sessions.size(), 1U);
    const json usage = sessions[0].value("usage", json::object());
    EXPECT_EQ(usage.value("bytes-served", 0U), std::filesystem::file_size(file)) << sessions[0];
    EXPECT_EQ(usage.value("files-served", 0), 1) << sessions[0];
    EXPECT_EQ(caller.finish().value("failed", -1), 0);
}

TEST_F(Session, a_root_pd_gets_the_heap_and_the_log_that_it_asks_for) {
    constexpr std::uint64_t first_heap = 256U << 10, log_ring = 256U << 10;
    const auto mapped = [&] {
        const json all = json::parse(system_->soc_status()); // the loop must not outlive it
        for (const json& domain : all.at("domains"))
            for (const json& pd : domain.at("dsp").at("pds"))
                if (domain.at("name") == "adsp" && pd.at("kind") == "root") return pd.at("mapped").get<std::uint64_t>();
        return std::uint64_t{0};
    };
    EXPECT_TRUE(stack::eventually([&] { return mapped() == first_heap + log_ring; })) << mapped();
}

TEST_F(Session, a_symlink_or_dotdot_out_of_the_directory_is_refused) {
    const std::filesystem::path inside = system_->directory() / "modules";
    std::filesystem::create_directory(inside);
    std::filesystem::permissions(inside, std::filesystem::perms(0755));
    std::filesystem::create_symlink(module_directory() / "libtest_skel.so", inside / "liblink_skel.so");
    std::filesystem::copy_file(module_directory() / "libtest_skel.so", system_->directory() / "liboutside_skel.so");

    for (const char* library : {"liblink_skel.so", "../liboutside_skel.so"}) {
        const json result = call(*system_, {"--library", library}, inside);
        EXPECT_EQ(result.value("exit", -1), 4) << library << ": " << result;
        EXPECT_EQ(result.value("stage", ""), "module") << result;
    }
    // The same file without the detour loads.
    std::filesystem::copy_file(module_directory() / "libtest_skel.so", inside / "libtest_skel.so");
    EXPECT_EQ(call(*system_, {"--calls", "1"}, inside).value("exit", -1), 0);
}

TEST_F(Session, a_signed_pd_is_refused_with_the_rule_and_what_would_allow_it) {
    const json result = call(*system_, {"--pd", "signed"});
    EXPECT_EQ(result.value("exit", -1), 3) << result;
    EXPECT_NE(result.value("name", "").find("AccessDenied"), std::string::npos) << result;
    const std::string text = result.value("error", "");
    EXPECT_NE(text.find("signed"), std::string::npos) << text;
    EXPECT_NE(text.find("policy.d"), std::string::npos) << text;
}

TEST_F(Session, explaining_agrees_with_trying) {
    for (const auto& [pd, code] : {std::pair("unsigned", 0), std::pair("signed", 1)}) {
        const auto outcome = stack::run(system_->client("ctl/fastrpcctl", {"policy", "explain", "cdsp", pd, "--json"}));
        ASSERT_TRUE(outcome);
        EXPECT_EQ(outcome->code, code) << outcome->output << outcome->errors;
        const json said = json::parse(outcome->output, nullptr, false);
        EXPECT_EQ(said.value("allowed", false), code == 0) << outcome->output;
    }
}

TEST_F(Session, another_user_does_not_see_a_session_but_root_does) {
    Caller caller(*system_, {"--label", "mine"}, "nobody");
    ASSERT_TRUE(caller.calling());
    EXPECT_EQ(ctl_list(*system_, "nobody").value("sessions", json::array()).size(), 1U);
    EXPECT_EQ(ctl_list(*system_, "mail").value("sessions", json::array({1})).size(), 0U);
    EXPECT_EQ(ctl_list(*system_, "").value("sessions", json::array()).size(), 1U);
    caller.finish();
}
