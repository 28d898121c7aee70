// The sequences of fastrpc_test, a client with a user PD (client-traces 5), against a virtual SoC.
#include "soc.hpp"

#include <csignal>

namespace fastrpc::traces {
namespace {

using namespace std::chrono_literals;

class FastrpcTest : public Traces {
protected:
    stack::Launch client(std::vector<std::string> options = {}) {
        options.push_back(scratch_.path("shells"));
        options.push_back(scratch_.path("root/dsp/cdsp"));
        return foreign("fastrpc_test", std::move(options));
    }
    void expect_success(std::vector<std::string> options = {}) {
        Program program(client(std::move(options)));
        EXPECT_EQ(program.ends(), 0) << program.output();
        EXPECT_EQ(program.count("calculated"), 1U);
        EXPECT_EQ(program.count("mapped and unmapped"), 1U);
        EXPECT_EQ(program.count("exit: 0"), 1U) << program.output();
        EXPECT_EQ(program.count("the listener ends: 0x8000040d"), 1U) << program.output();
        expect_idle();
    }
};

TEST_P(FastrpcTest, an_unsigned_pd_calculates_and_ends_without_hanging) {
    start_soc();
    expect_success();
    expect_success();
    EXPECT_EQ(status().at("domains").at(2).at("dsp").at("crashes"), 0) << "exit is no crash";
}

TEST_P(FastrpcTest, a_signed_pd_does_the_same_through_the_secure_node) {
    start_soc({{"domains", {{{"name", "cdsp"}, {"secure", true}}}}});
    expect_success({"--signed"});
}

TEST_P(FastrpcTest, many_threads_of_one_process_call_at_once) {
    start_soc();
    expect_success({"--threads"});
}

TEST_P(FastrpcTest, without_a_heap_buffers_come_from_a_second_open_of_the_node) {
    start_soc({{"heaps", nlohmann::json::array()}});
    expect_success();
}

TEST_P(FastrpcTest, a_missing_shell_is_told_to_the_dsp_which_refuses) {
    start_soc();
    Program program(client({"--missing-shell"}));
    EXPECT_EQ(program.ends(), 1) << program.output();
    EXPECT_EQ(program.count("no PD: "), 1U) << program.output();
    expect_idle();
}

TEST_P(FastrpcTest, without_a_device_it_ends) {
    start_soc({{"domains", {{{"name", "adsp"}}}}});
    Program program(client());
    EXPECT_EQ(program.ends(), 1) << program.output();
}

TEST_P(FastrpcTest, a_killed_client_gives_back_its_slot_and_its_pd_even_in_a_call) {
    start_soc({{"domains", {{{"name", "cdsp"}, {"slots", 2}, {"secure", false}}}}});
    for (const int number : {SIGKILL, SIGTERM, SIGKILL}) {
        Program program(client({"--stay"}));
        ASSERT_TRUE(program.says("staying")) << program.output();
        program.signal(number);
        EXPECT_EQ(program.ends(), 128 + number);
        expect_idle();
    }
}

TEST_P(FastrpcTest, a_restart_of_the_dsp_in_the_middle_of_a_call_ends_every_thread) {
    start_soc();
    Program program(client({"--stay"}));
    ASSERT_TRUE(program.says("staying")) << program.output();
    ASSERT_TRUE(stack::eventually([&] { return status().at("domains").at(2).at("contexts_used") >= 2; }));
    ctl({"restart", "cdsp"});
    EXPECT_EQ(program.ends(), 0) << program.output();
    EXPECT_EQ(program.count("came back: 0xffffffff"), 1U) << program.output();
    EXPECT_EQ(program.count("closed"), 1U);
    expect_idle();
    Program next(client());
    EXPECT_EQ(next.ends(), 0) << "the new DSP serves: " << next.output();
}

TEST_P(FastrpcTest, clients_beside_each_other_and_a_root_daemon) {
    start_soc();
    Program daemon(foreign("adsprpcd", {"cdsp"}));
    ASSERT_TRUE(daemon.says("bytes of heap at")) << daemon.output();
    Program first(client({"--threads"}));
    Program second(client());
    Program third(client({"--threads"}));
    for (Program* program : {&first, &second, &third}) EXPECT_EQ(program->ends(), 0) << program->output();
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.ends(), 128 + SIGTERM);
    expect_idle();
}

INSTANTIATE_TEST_SUITE_P(Builds, FastrpcTest, ::testing::Values("", "-fortified"), build_name);

} // namespace
} // namespace fastrpc::traces
