// `fastrpc-vdsp run`: a program on a virtual SoC of its own, which is gone with it.
#include "tests/stack/process.hpp"
#include "tests/stack/stack.hpp"
#include "tests/support/scratch.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace fastrpc::traces {
namespace {

namespace fs = std::filesystem;

class Run : public testing::Test {
protected:
    stack::Outcome run(std::vector<std::string> options, const std::vector<std::string>& program) {
        stack::Launch launch{.command = {(stack::build_root() / "vdsp/driver/fastrpc-vdsp").string()}};
        options.insert(options.end(), {"run", "--"});
        launch.command.insert(launch.command.end(), options.begin(), options.end());
        launch.command.insert(launch.command.end(), program.begin(), program.end());
        launch.environment["TMPDIR"] = scratch_.path().string();
        auto outcome = stack::run(launch);
        EXPECT_TRUE(outcome);
        return outcome ? *outcome : stack::Outcome{};
    }
    static std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

    test::Scratch scratch_;
};

TEST_F(Run, the_program_and_its_children_see_the_nodes_and_its_code_is_ours) {
    const auto outcome = run({}, shell("ls /dev/fastrpc-cdsp /dev/fastrpc-adsp-secure && exit 7"));
    EXPECT_EQ(outcome.code, 7) << outcome.errors;
    EXPECT_NE(outcome.output.find("/dev/fastrpc-cdsp\n"), std::string::npos) << outcome.output;
    EXPECT_TRUE(fs::is_empty(scratch_.path())) << "its SoC leaves nothing behind";
}

TEST_F(Run, the_soc_is_the_one_that_was_described) {
    const fs::path soc = scratch_.path("soc.json");
    std::ofstream(soc) << R"({"domains": [{"name": "sdsp", "kernel": "qda-v1"}]})";
    const auto outcome = run({"--soc", soc.string()}, shell("ls /dev/accel; ls /dev/fastrpc-cdsp"));
    EXPECT_EQ(outcome.output, "accel0\n") << outcome.errors;
    EXPECT_NE(outcome.code, 0);
}

TEST_F(Run, a_killed_program_is_128_and_its_signal) {
    EXPECT_EQ(run({}, shell("kill -9 $$")).code, 128 + 9);
    EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

TEST_F(Run, what_cannot_start_is_126_with_the_reason) {
    const auto program = run({}, {"/no/such/program"});
    EXPECT_EQ(program.code, 126);
    EXPECT_NE(program.errors.find("/no/such/program"), std::string::npos) << program.errors;
    const auto soc = run({"--soc", "/no/such/soc.json"}, shell("exit 0"));
    EXPECT_EQ(soc.code, 126);
    EXPECT_NE(soc.errors.find("/no/such/soc.json"), std::string::npos) << soc.errors;
    EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

} // namespace
} // namespace fastrpc::traces
