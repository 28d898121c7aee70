// hexagonrpcd's sequences of client-traces 5, against a virtual SoC.
#include "soc.hpp"

#include <csignal>
#include <fstream>

namespace fastrpc::traces {
namespace {

using Hexagonrpcd = Traces;
using namespace std::chrono_literals;

TEST_P(Hexagonrpcd, without_a_device_it_ends_at_once_with_4) {
    start_soc({{"domains", {{{"name", "cdsp"}}}}});
    Program program(foreign("hexagonrpcd", {"-f", "/dev/fastrpc-adsp", "-d", "adsp", "-R", scratch_.path("root")}));
    EXPECT_EQ(program.ends(), 4) << program.output();
}

TEST_P(Hexagonrpcd, attaches_registers_listens_and_serves_files_and_heap) {
    start_soc();
    Program program(
        foreign("hexagonrpcd", {"-f", "/dev/fastrpc-adsp-secure", "-d", "adsp", "-R", scratch_.path("root")}));
    ASSERT_TRUE(program.says("heap: ")) << program.output();
    EXPECT_EQ(program.count("file: missing oemconfig.so"), 1U) << program.output();
    EXPECT_NE(program.output().find("registered as 1"), std::string::npos) << "a module's handle is 16 or more";
    EXPECT_EQ(program.count("next2"), 0U) << "its listener lives";
    EXPECT_GE(pd("adsp", "root").at("reverse_calls"), 3) << "the figure is one call old";
    program.signal(SIGTERM);
    EXPECT_EQ(program.ends(), 128 + SIGTERM);
    expect_idle();
}

TEST_P(Hexagonrpcd, a_file_that_is_there_is_opened_and_closed) {
    start_soc();
    std::ofstream(scratch_.path("root/dsp/adsp/oemconfig.so")) << "x";
    Program program(
        foreign("hexagonrpcd", {"-f", "/dev/fastrpc-adsp-secure", "-d", "adsp", "-R", scratch_.path("root")}));
    ASSERT_TRUE(program.says("heap: ")) << program.output();
    EXPECT_EQ(program.count("file: opened oemconfig.so"), 1U) << program.output();
    EXPECT_GE(pd("adsp", "root").at("reverse_calls"), 4) << "with fclose, one call old";
}

TEST_P(Hexagonrpcd, serves_the_sensors_pd) {
    start_soc();
    Program program(
        foreign("hexagonrpcd", {"-f", "/dev/fastrpc-sdsp-secure", "-d", "sdsp", "-R", scratch_.path("root"), "-s"}));
    ASSERT_TRUE(program.says("heap: ")) << program.output();
    EXPECT_EQ(pd("sdsp", "sensors").at("state"), "running");
    program.signal(SIGKILL);
    EXPECT_EQ(program.ends(), 128 + SIGKILL);
    expect_idle();
}

TEST_P(Hexagonrpcd, a_child_that_never_opened_the_device_calls_the_root_pd) {
    start_soc();
    Program program(foreign("hexagonrpcd", {"-f", "/dev/fastrpc-adsp-secure", "-d", "adsp", "-R", scratch_.path("root"),
                                            "-p", path_of("hexagonrpc_child")}));
    ASSERT_TRUE(program.says("child: done")) << program.output();
    ASSERT_TRUE(program.says("heap: ")) << program.output();
    program.signal(SIGTERM);
    EXPECT_EQ(program.ends(), 128 + SIGTERM);
    expect_idle();
}

TEST_P(Hexagonrpcd, a_child_loads_a_module_into_the_user_pd_that_its_parent_serves) {
    start_soc();
    auto launch = foreign("hexagonrpcd", {"-f", "/dev/fastrpc-cdsp", "-d", "cdsp", "-R", scratch_.path("root"), "-c",
                                          scratch_.path("shells/fastrpc_shell_3"), "-p", path_of("hexagonrpc_child")});
    launch.command[2] = "/dev/fastrpc-cdsp-secure"; // signed, so not through the plain node
    launch.environment["TRACES_CHILD_URI"] =
        "file:///libtraces_skel.so?traces_skel_handle_invoke&_modver=1.0&_dom=cdsp";
    Program program(launch);
    ASSERT_TRUE(program.says("child: done")) << program.output();
    EXPECT_EQ(program.count("child: result 0, sum 45"), 1U) << program.output();
    EXPECT_EQ(pd("cdsp", "signed").at("modules").at(0).at("file"), "libtraces_skel.so");
    program.signal(SIGKILL);
    EXPECT_EQ(program.ends(), 128 + SIGKILL);
    expect_idle();
}

TEST_P(Hexagonrpcd, a_killed_one_makes_room_for_the_next_at_once) {
    start_soc({{"domains", {{{"name", "adsp"}, {"slots", 1}}}}});
    for (int i = 0; i < 5; ++i) {
        Program program(
            foreign("hexagonrpcd", {"-f", "/dev/fastrpc-adsp-secure", "-d", "adsp", "-R", scratch_.path("root")}));
        ASSERT_TRUE(program.says("listening")) << program.output();
        program.signal(SIGKILL);
        EXPECT_EQ(program.ends(), 128 + SIGKILL);
        expect_idle();
    }
    EXPECT_EQ(status().at("domains").at(0).at("dsp").at("crashes"), 0);
}

TEST_P(Hexagonrpcd, a_restart_of_the_dsp_ends_it_and_its_children_with_0) {
    start_soc();
    Program program(foreign("hexagonrpcd", {"-f", "/dev/fastrpc-adsp-secure", "-d", "adsp", "-R", scratch_.path("root"),
                                            "-p", path_of("hexagonrpc_child")}));
    ASSERT_TRUE(program.says("heap: ")) << program.output();
    ctl({"restart", "adsp"});
    EXPECT_EQ(program.ends(), 0) << program.output();
    EXPECT_EQ(program.count("next2: 0xffffffff"), 1U) << program.output();
    expect_idle();
}

TEST_P(Hexagonrpcd, the_fortified_build_uses_the_fortified_entry_points) {
    std::ifstream file(path_of("hexagonrpcd"), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const bool is_fortified = std::string(GetParam()) == "-fortified";
    EXPECT_EQ(bytes.find("__open64_2") != std::string::npos, is_fortified);
    EXPECT_EQ(bytes.find("__openat64_2") != std::string::npos, is_fortified);
    EXPECT_EQ(bytes.find("mmap64") != std::string::npos, is_fortified);
}

INSTANTIATE_TEST_SUITE_P(Builds, Hexagonrpcd, ::testing::Values("", "-fortified"), build_name);

} // namespace
} // namespace fastrpc::traces
