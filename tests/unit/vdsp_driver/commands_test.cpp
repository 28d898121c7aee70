// Commands to a running server, and the directory that shows the SoC to programs.
#include "driver_fixture.hpp"
#include "tests/support/scratch.hpp"
#include "vdsp/driver/commands.hpp"
#include "vdsp/driver/device_directory.hpp"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>

namespace fastrpc::vdsp {
namespace {

namespace fs = std::filesystem;

class Commands : public DriverTest {
protected:
    nlohmann::json run(const std::string& text) { return nlohmann::json::parse(run_command(*driver, text)); }
};

TEST_F(Commands, status_tells_what_each_domain_is_at) {
    const auto file = open("fastrpc-cdsp");
    const auto all = run(R"({"command":"status"})");
    const auto& cdsp = all["domains"][0];
    EXPECT_EQ(cdsp["name"], "cdsp");
    EXPECT_EQ(cdsp["kernel"], "7.1");
    EXPECT_EQ(cdsp["generation"], 1);
    EXPECT_EQ(cdsp["state"], "running");
    EXPECT_EQ(cdsp["slots"], 3);
    EXPECT_EQ(cdsp["slots_used"], 1);
    for (const char* key : {"contexts_used", "contexts_abandoned", "zombies", "restarts"})
        EXPECT_EQ(cdsp[key], 0) << key;
    EXPECT_EQ(all["domains"][1]["kernel"], "6.12");
}

TEST_F(Commands, run_is_for_a_domain_that_is_up_and_every_other_command_is_answered_at_once) {
    std::string answer;
    const auto order = [&](const char* text) {
        answer.clear();
        run_command(*driver, text, [&](const std::string& given) { answer = given; });
        return answer;
    };
    EXPECT_NE(order(R"({"command":"run","domain":"cdsp","pd":"root","script":[]})").find("runs no scripts"),
              std::string::npos);
    EXPECT_NE(order(R"({"command":"run","domain":"ndsp"})").find("\"error\""), std::string::npos);
    EXPECT_EQ(order(R"({"command":"down","domain":"cdsp"})"), "{}");
    EXPECT_NE(order(R"({"command":"run","domain":"cdsp"})").find("down"), std::string::npos);
}

TEST_F(Commands, slots_change_from_now_on_and_never_below_the_last_used) {
    const auto first = open("fastrpc-cdsp");
    const auto second = open("fastrpc-cdsp");
    run(R"({"command":"slots","domain":"cdsp","slots":1})");
    EXPECT_EQ(status()["slots"], 2);
    EXPECT_EQ(driver->open("fastrpc-cdsp").error(), EBUSY);
    run(R"({"command":"slots","domain":"cdsp","slots":14})");
    EXPECT_EQ(open("fastrpc-cdsp")->client(), 3);
    EXPECT_EQ(status()["slots"], 14);
}

TEST_F(Commands, the_kernels_bound_is_scalable) {
    hold(dsp());
    EXPECT_TRUE(run(R"({"command":"timeout","ms":5})").empty());
    EXPECT_EQ(attach(open("fastrpc-cdsp")).error, ETIMEDOUT);
}

TEST_F(Commands, heaps_come_and_go) {
    EXPECT_TRUE(run(R"({"command":"remove","node":"dma_heap/system"})").empty());
    EXPECT_FALSE(driver->exists("dma_heap/system"));
    EXPECT_EQ(driver->open("dma_heap/system").error(), ENOENT);
    EXPECT_TRUE(run(R"({"command":"add","node":"dma_heap/system"})").empty());
    EXPECT_TRUE(driver->exists("dma_heap/system"));
    EXPECT_TRUE(run(R"({"command":"remove","node":"fastrpc-cdsp"})").contains("error"));
}

TEST_F(Commands, the_rest_goes_to_the_dsp_word_by_word) {
    const auto answer = run(R"({"command":"crash","domain":"adsp","pd":"root"})");
    EXPECT_EQ(answer, nlohmann::json::parse(R"({"command":"crash","domain":"adsp","pd":"root"})"));
    EXPECT_TRUE(run(R"({"command":"unheard","domain":"adsp"})").contains("error"));
    run(R"({"command":"down","domain":"adsp"})");
    EXPECT_TRUE(run(R"({"command":"crash","domain":"adsp"})").contains("error"));
}

TEST_F(Commands, nonsense_is_refused_with_a_word) {
    for (const char* text :
         {"", "[]", "{", "{}", R"({"command":1})", R"({"command":"dance"})", R"({"command":"down"})",
          R"({"command":"down","domain":"sdsp"})", R"({"command":"down","domain":7})", R"({"command":"latency"})",
          R"({"command":"latency","us":-1})", R"({"command":"latency","us":"7"})", R"({"command":"timeout","ms":0})",
          R"({"command":"slots","domain":"cdsp","slots":0})", R"({"command":"slots","domain":"cdsp","slots":15})",
          R"({"command":"restart","domain":"cdsp","down_ms":-1})", R"({"command":"remove"})",
          R"({"command":"add","node":[]})", "{\"command\":\"\xff\",\"domain\":\"cdsp\"}"})
        EXPECT_TRUE(run(text).contains("error")) << text;
    EXPECT_EQ(status()["generation"], 1);
}

class Directory : public DriverTest {
protected:
    std::string content(const std::string& name) const {
        std::ifstream file(path + "/" + name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    fastrpc::test::Scratch scratch;
    const std::string path = scratch.path("socket.d");
};

TEST_F(Directory, shows_nodes_states_and_the_device_tree) {
    start({.domains = {{.domain = Domain::adsp}, {.domain = Domain::cdsp, .accel = find_profile("qda-v1")}}});
    const mode_t before = ::umask(0077);
    {
        const auto directory = DeviceDirectory::make(path, *driver);
        ::umask(before);
        ASSERT_TRUE(directory) << directory.error().text;
        for (const char* name : {"fastrpc-adsp-secure", "fastrpc-cdsp", "fastrpc-cdsp-secure", "dma_heap/system"}) {
            struct stat status {};
            EXPECT_EQ(::stat((path + "/dev/" + name).c_str(), &status), 0) << name;
            EXPECT_EQ(status.st_mode & 07777, 0600U);
        }
        struct stat status {};
        EXPECT_EQ(::stat((path + "/sys/class/remoteproc").c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, 0755U);
        EXPECT_EQ(content("sys/class/remoteproc/remoteproc0/name"), "adsp\n");
        EXPECT_EQ(content("sys/class/remoteproc/remoteproc1/state"), "running\n");
        EXPECT_EQ(content("sys/class/accel/accel0/device/of_node/label"), std::string("cdsp\0", 5));
        EXPECT_FALSE(content("proc/device-tree/model").empty());
        EXPECT_EQ(content("proc/device-tree/compatible").back(), '\0');

        driver->on_change = [&] { (*directory)->update(); };
        run_command(*driver, R"({"command":"down","domain":"cdsp"})");
        EXPECT_FALSE(fs::exists(path + "/dev/fastrpc-cdsp"));
        EXPECT_TRUE(fs::exists(path + "/dev/fastrpc-adsp-secure"));
        EXPECT_EQ(content("sys/class/remoteproc/remoteproc1/state"), "offline\n");
        run_command(*driver, R"({"command":"remove","node":"dma_heap/system"})");
        EXPECT_FALSE(fs::exists(path + "/dev/dma_heap/system"));
        run_command(*driver, R"({"command":"up","domain":"cdsp"})");
        run_until([&] { return fs::exists(path + "/dev/fastrpc-cdsp"); });
        EXPECT_EQ(content("sys/class/remoteproc/remoteproc1/state"), "running\n");
        driver->on_change = nullptr;
    }
    EXPECT_FALSE(fs::exists(path));
}

TEST_F(Directory, replaces_what_a_dead_server_left) {
    fs::create_directories(path + "/dev");
    std::ofstream(path + "/dev/fastrpc-sdsp") << "";
    const auto directory = DeviceDirectory::make(path, *driver);
    ASSERT_TRUE(directory);
    EXPECT_FALSE(fs::exists(path + "/dev/fastrpc-sdsp"));
    fs::create_symlink("/tmp", scratch.path("other.d"));
    EXPECT_FALSE(DeviceDirectory::make(scratch.path("other.d"), *driver));
    EXPECT_TRUE(fs::exists("/tmp"));
}

} // namespace
} // namespace fastrpc::vdsp
