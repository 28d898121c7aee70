// Bad input gives its own error to whoever gave it, and changes nothing for anybody else.
#include "tests/integration/system.hpp"

#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <algorithm>
#include <fstream>
#include <pwd.h>
#include <random>
#include <set>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class BadInput : public testing::Test {
protected:
    static void SetUpTestSuite() {
        system_ = start_system();
        modules_ = system_->directory() / "modules";
        std::filesystem::create_directory(modules_);
        std::filesystem::permissions(modules_, std::filesystem::perms(0755));
        std::filesystem::copy_file(module_directory() / "libtest_skel.so", modules_ / "libtest_skel.so");
        std::ofstream(modules_ / "libtext_skel.so") << "this is no ELF file\n";
    }
    static void TearDownTestSuite() { system_.reset(); }
    static System system_;
    static std::filesystem::path modules_;
};
System BadInput::system_;
std::filesystem::path BadInput::modules_;

// A session opened by hand, as `nobody`, with nothing of libfastrpc behind it.
UniqueFd raw_session(const stack::Stack& system) {
    sd_bus* bus = nullptr;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* reply = nullptr;
    UniqueFd socket;
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", system.client_environment().at("DBUS_SYSTEM_BUS_ADDRESS").c_str(), 1);
    if (::sd_bus_open_system(&bus) >= 0 &&
        ::sd_bus_call_method(bus, "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager", "OpenSession", &error,
                             &reply, "ssa{sv}", "cdsp", "unsigned", 0) >= 0) {
        const char* path = nullptr;
        int fd = -1;
        if (::sd_bus_message_read(reply, "oh", &path, &fd) >= 0) socket = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    }
    ::sd_bus_error_free(&error);
    ::sd_bus_message_unref(reply);
    ::sd_bus_flush_close_unref(bus);
    return socket;
}

// Runs `body` in a child as nobody; true when it returned true.
bool as_nobody(const std::function<bool()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        const passwd* user = ::getpwnam("nobody");
        const bool ready = ::setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
                           ::setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0;
        ::_exit(ready && body() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

UniqueFd raw_lane(int session) {
    std::array<std::byte, 1024> storage{};
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(SessionOp::open_lane);
    header.cookie = 1;
    if (!send_frame(session, header)) return {};
    auto reply = receive_frame(session, storage, 1);
    if (!reply || reply->fds.size() != 1) return {};
    return std::move(reply->fds[0]);
}

bool closed_by_peer(int socket) {
    std::array<std::byte, max_lane_datagram> storage{};
    for (;;) {
        const ssize_t got = ::recv(socket, storage.data(), storage.size(), 0);
        if (got <= 0) return true;
    }
}

} // namespace

TEST_F(BadInput, each_broken_module_has_its_own_error_that_names_it) {
    struct Case {
        const char* library;
        const char* interface;
        const char* mentions;
    };
    std::vector<std::string> texts;
    for (const Case& c :
         {Case{"libabsent_skel.so", "test", "libabsent_skel.so"}, Case{"libtext_skel.so", "test", "libtext_skel.so"},
          Case{"libtest_skel.so", "other", "other_skel_handle_invoke"}}) {
        const json result = call(*system_, {"--library", c.library, "--interface", c.interface}, modules_);
        EXPECT_EQ(result.value("exit", -1), 4) << result;
        EXPECT_NE(result.value("error", "").find(c.mentions), std::string::npos) << result;
        texts.push_back(std::to_string(result.value("code", 0)) + result.value("error", ""));
    }
    EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()).size(), texts.size()) << testing::PrintToString(texts);
}

TEST_F(BadInput, an_error_of_the_module_comes_back_as_it_is_with_its_outputs) {
    const json result = call(*system_, {"--method", "5", "--value", "39"}, modules_);
    EXPECT_EQ(result.value("code", 0), 39) << result;
    EXPECT_EQ(result["output"][0], 0x5a) << result;
    const json negative = call(*system_, {"--method", "5", "--value", std::to_string(0x80000414U)}, modules_);
    EXPECT_EQ(negative.value("code", 0), static_cast<int>(0x80000414U)) << negative;
}

TEST_F(BadInput, a_crash_of_the_module_ends_its_own_session_and_names_the_module) {
    Caller other(*system_, {});
    ASSERT_TRUE(other.calling());
    const json result = call(*system_, {"--method", "4"}, modules_);
    EXPECT_NE(result.value("code", 0), 0) << result;
    EXPECT_NE(result.value("later", 0), 0) << result;
    EXPECT_NE((result.value("error", "") + result.value("later_error", "")).find("libtest_skel.so"), std::string::npos)
        << result;
    EXPECT_NE(result.value("error", "").find("crash"), std::string::npos) << result;
    EXPECT_EQ(other.finish().value("failed", -1), 0);
    EXPECT_EQ(call(*system_, {"--calls", "10"}).value("failed", -1), 0);
}

TEST_F(BadInput, a_domain_without_a_node_is_one_clear_error) {
    const json result = call(*system_, {"--domain", "gdsp0"});
    EXPECT_EQ(result.value("exit", -1), 3) << result;
    EXPECT_NE(result.value("error", "").find("fastrpc-gdsp0"), std::string::npos) << result;
    const json unknown = call(*system_, {"--domain", "bdsp"});
    EXPECT_NE(unknown.value("error", "").find("cdsp"), std::string::npos) << "lists the known ones: " << unknown;
}

TEST_F(BadInput, garbage_from_a_client_ends_its_own_session_alone) {
    Caller other(*system_, {});
    ASSERT_TRUE(other.calling());
    std::mt19937 random(7);
    for (int round = 0; round < 8; ++round) {
        EXPECT_TRUE(as_nobody([&] {
            const UniqueFd session = raw_session(*system_);
            if (!session) return false;
            const UniqueFd lane = raw_lane(session.get());
            if (!lane) return false;
            std::vector<std::byte> garbage(1 + random() % 5000);
            std::ranges::generate(garbage, [&] { return static_cast<std::byte>(random()); });
            const int target = round % 2 == 0 ? lane.get() : session.get();
            ::send(target, garbage.data(), garbage.size(), MSG_NOSIGNAL);
            return closed_by_peer(target);
        })) << "round "
            << round;
    }
    EXPECT_EQ(other.finish().value("failed", -1), 0);
    EXPECT_TRUE(stack::eventually([&] { return ctl_list(*system_).value("sessions", json::array({1})).empty(); }));
}

TEST_F(BadInput, the_dsps_own_handles_cannot_be_reached_from_a_lane) {
    EXPECT_TRUE(as_nobody([&] {
        const UniqueFd session = raw_session(*system_);
        const UniqueFd lane = session ? raw_lane(session.get()) : UniqueFd();
        if (!lane) return false;
        std::array<std::byte, 4096> storage{};
        for (const std::uint32_t handle : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 16U, 0xFFFFFFFFU}) {
            const InvokeRequest request{.handle = handle, .scalars = 0x02000000, .inline_bytes = 0, .deadline_ms = 0};
            FrameHeader header;
            header.opcode = static_cast<std::uint16_t>(LaneOp::invoke);
            header.cookie = handle;
            if (!send_frame(lane.get(), header, std::as_bytes(std::span(&request, 1)))) return false;
            const auto reply = receive_frame(lane.get(), storage, 0);
            if (!reply || reply->header.status != static_cast<std::uint32_t>(ErrorKind::not_found)) return false;
        }
        return true;
    }));
}

TEST_F(BadInput, a_silent_client_holds_up_nobody) {
    EXPECT_TRUE(as_nobody([&] {
        const UniqueFd session = raw_session(*system_); // and never a word
        return session && call(*system_, {"--calls", "50"}, module_directory(), "").value("failed", -1) == 0;
    }));
}

TEST_F(BadInput, a_second_fastrpcd_says_so_in_one_line_and_ends) {
    stack::Launch launch{.command = {stack::build_root() / "broker/fastrpcd", "--policy-dir",
                                     system_->directory() / "policy.d", "--session-socket", system_->session_socket(),
                                     "--control-socket", system_->directory() / "second.sock"},
                         .environment = system_->client_environment()};
    for (const char* user : {"daemon", ""}) {
        launch.user = user;
        launch.command.back() = std::string("@unused");
        launch.command.back() =
            (std::filesystem::temp_directory_path() / ("fastrpc-second-" + std::to_string(::getpid()) + user)).string();
        const auto outcome = stack::run(launch);
        ASSERT_TRUE(outcome);
        EXPECT_EQ(outcome->code, 1);
        EXPECT_EQ(std::ranges::count(outcome->errors, '\n'), 1) << outcome->errors;
        EXPECT_NE(outcome->errors.find("org.fastrpc1"), std::string::npos) << outcome->errors;
        std::filesystem::remove(launch.command.back());
    }
}

TEST(FullDsp, an_open_with_all_slots_taken_is_busy_and_says_who_holds_them) {
    // The root host, where there is one, and two sessions.
    const auto system = start_system({.cdsp_slots = stack::default_kernel() == "qda-v1" ? 2U : 3U});
    Caller first(*system, {}), second(*system, {}, "mail");
    ASSERT_TRUE(first.calling());
    ASSERT_TRUE(second.calling());
    const json refused = call(*system, {});
    EXPECT_EQ(refused.value("exit", -1), 3) << refused;
    EXPECT_NE(refused.value("name", "").find("Busy"), std::string::npos) << refused;
    EXPECT_NE(refused.value("error", "").find("mail"), std::string::npos) << refused;
    first.finish();
    EXPECT_TRUE(stack::eventually([&] { return call(*system, {"--calls", "1"}).value("exit", -1) == 0; }));
    EXPECT_EQ(second.finish().value("failed", -1), 0);
}

TEST(NoPolicy, fastrpcd_runs_denies_everything_and_warns_in_one_line) {
    const auto system = start_system({.with_policy = false});
    const json refused = call(*system, {});
    EXPECT_EQ(refused.value("exit", -1), 3) << refused;
    EXPECT_NE(refused.value("name", "").find("AccessDenied"), std::string::npos) << refused;
    const std::string log = system->log();
    std::size_t lines = 0;
    for (std::size_t at = log.find("policy"); at != std::string::npos; at = log.find("policy", log.find('\n', at)))
        lines += log.rfind("warning", at) != std::string::npos && log.rfind("warning", at) > log.rfind('\n', at);
    EXPECT_EQ(lines, 1U) << log;
}

TEST(NoShell, a_dsp_without_its_shell_file_is_one_clear_error) {
    const auto system = start_system({.shells = false});
    const json result = call(*system, {});
    EXPECT_EQ(result.value("exit", -1), 3) << result;
    EXPECT_NE(result.value("error", "").find("fastrpc_shell_unsigned_3"), std::string::npos) << result;
    EXPECT_TRUE(stack::eventually([&] {
        return soc(*system).value("slots_used", -1) == (system->has_cdsp_root() ? 1 : 0);
    })) << "only the root host";
}
