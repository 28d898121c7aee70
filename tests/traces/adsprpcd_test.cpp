// The sequences of adsprpcd, cdsprpcd and sdsprpcd (client-traces 5), against a virtual SoC.
#include "soc.hpp"

#include <csignal>
#include <fstream>

namespace fastrpc::traces {
namespace {

using namespace std::chrono_literals;

class Adsprpcd : public Traces {
protected:
    /// The daemon, up to where it waits for the end of its listener.
    std::unique_ptr<Program> daemon(std::vector<std::string> arguments, bool reads_log = true) {
        auto program = std::make_unique<Program>(foreign("adsprpcd", std::move(arguments)));
        EXPECT_TRUE(program->says("registered: 0")) << program->output();
        const char* last = reads_log ? "bytes of heap at" : "heap: "; // the last line of the log
        EXPECT_TRUE(program->says(last)) << program->output();
        return program;
    }
    static void ends_by(Program& program, int number) {
        program.signal(number);
        EXPECT_EQ(program.ends(), 128 + number) << program.output();
    }
};

TEST_P(Adsprpcd, without_a_device_it_waits_and_ends_with_114) {
    start_soc({{"domains", {{{"name", "cdsp"}}}}});
    auto launch = foreign("adsprpcd", {"adsp"});
    launch.environment["TRACES_WAIT_MS"] = "200";
    const auto begin = std::chrono::steady_clock::now();
    Program program(launch);
    EXPECT_EQ(program.ends(), 114) << program.output();
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
}

TEST_P(Adsprpcd, the_root_daemon_registers_and_reads_the_log) {
    start_soc();
    const auto program = daemon({"adsp"});
    EXPECT_EQ(program->count("open: handle"), 2U) << "explicit, and of the static stub";
    EXPECT_EQ(program->count("mapped: 262144 bytes"), 1U) << "made while init3 was blocked";
    EXPECT_EQ(program->count("log: init3 0, mine"), 1U);
    EXPECT_EQ(program->count("log: the log of this PD begins"), 1U) << program->output();
    EXPECT_EQ(program->count("log: adsp: a process serves reverse calls"), 1U) << program->output();
    EXPECT_LE(program->count("log: wait"), 4U) << "it blocks while there is nothing to say";
    EXPECT_EQ(program->count("listening on 7"), 1U);
    ends_by(*program, SIGTERM);
    expect_idle();
}

TEST_P(Adsprpcd, with_a_domain_it_registers_through_the_uri) {
    start_soc();
    const auto program = daemon({"cdsp", "rootpd", "cdsp"});
    EXPECT_EQ(program->count("open: handle"), 1U);
    ends_by(*program, SIGKILL);
    expect_idle();
}

TEST_P(Adsprpcd, the_sensors_dsp_has_no_log) {
    start_soc();
    const auto program = daemon({"sdsp"}, false);
    EXPECT_EQ(program->count("log:"), 0U);
    ends_by(*program, SIGTERM);
    expect_idle();
}

TEST_P(Adsprpcd, sensors_and_audio_daemons_have_pds_of_their_own_beside_the_root_one) {
    start_soc();
    const auto root = daemon({"adsp"});
    const auto sensors = daemon({"adsp", "sensorspd", "adsp"}, false);
    const auto audio = daemon({"adsp", "audiopd"}, false);
    EXPECT_EQ(pd("adsp", "sensors").at("state"), "running");
    EXPECT_EQ(pd("adsp", "audio").at("state"), "running");
    for (const auto* program : {&root, &sensors, &audio}) ends_by(**program, SIGTERM);
    expect_idle();
}

TEST_P(Adsprpcd, of_two_root_daemons_one_has_the_log_and_both_are_served) {
    start_soc();
    const auto first = daemon({"adsp"});
    const auto second = daemon({"adsp"}, false);
    EXPECT_EQ(second->count("log: init3 0, none"), 1U) << second->output();
    ends_by(*first, SIGKILL);
    const auto third = daemon({"adsp"});
    EXPECT_EQ(third->count("log: init3 0, mine"), 1U) << third->output();
    ends_by(*second, SIGTERM);
    ends_by(*third, SIGTERM);
    expect_idle();
}

TEST_P(Adsprpcd, without_a_heap_the_driver_allocates) {
    start_soc({{"heaps", nlohmann::json::array()}});
    const auto program = daemon({"adsp"});
    EXPECT_EQ(program->count("log: init3 0, mine"), 1U) << program->output();
    ends_by(*program, SIGTERM);
    expect_idle();
}

TEST_P(Adsprpcd, a_host_of_ours_is_next_to_it) {
    start_soc();
    stack::Launch ours{.command = {(stack::build_root() / "daemon/host/fastrpc-pd").string(), "--domain", "adsp",
                                   "--pd", "root", "--control", scratch_.path("control"), "--dsp-dir",
                                   scratch_.path("root/dsp")},
                       .environment = device_environment()};
    Program host(ours);
    ASSERT_TRUE(stack::eventually([&] { return pd("adsp", "root").at("reverse_calls") != 0; })) << host.output();
    const auto foreign_one = daemon({"sdsp"}, false);
    const auto same_dsp = daemon({"adsp"}, false); // one of the two reads the log
    EXPECT_EQ(same_dsp->count("log: init3 0, "), 1U) << same_dsp->output();
    ends_by(*foreign_one, SIGKILL);
    ends_by(*same_dsp, SIGKILL);
    EXPECT_EQ(host.ends(0ms), -1) << "ours lives on: " << host.output();
    host.signal(SIGTERM);
    EXPECT_EQ(host.ends(), 0) << host.output();
    expect_idle();
}

TEST_P(Adsprpcd, after_a_restart_of_its_dsp_it_attaches_again_and_others_do_not_notice) {
    start_soc();
    const auto program = daemon({"adsp"});
    const auto other = daemon({"sdsp"}, false);
    for (unsigned round = 2; round <= 4; ++round) {
        ctl({"restart", "adsp"});
        ASSERT_TRUE(program->says("registered: 0", round)) << program->output();
        ASSERT_TRUE(program->says("bytes of heap at", round)) << program->output();
        EXPECT_EQ(program->count("closed"), round - 1) << "all threads came back";
        EXPECT_EQ(program->count("log: init3 0, mine"), round) << program->output();
    }
    EXPECT_EQ(other->count("next2"), 0U) << other->output();
    ends_by(*program, SIGTERM);
    ends_by(*other, SIGTERM);
    expect_idle();
}

TEST_P(Adsprpcd, it_starts_over_when_the_image_of_its_pd_dies) {
    start_soc();
    const auto program = daemon({"adsp", "sensorspd", "adsp"}, false);
    ctl({"crash", "adsp", "sensors"});
    ASSERT_TRUE(program->says("registered: 0", 2)) << program->output();
    EXPECT_EQ(pd("adsp", "sensors").at("state"), "running");
    ends_by(*program, SIGKILL);
    expect_idle();
}

TEST_P(Adsprpcd, no_daemon_stays_when_the_whole_soc_goes_away) {
    start_soc();
    auto launch = foreign("adsprpcd", {"adsp"});
    launch.environment["TRACES_WAIT_MS"] = "100";
    Program program(launch);
    ASSERT_TRUE(program.says("bytes of heap at")) << program.output();
    server_->end();
    EXPECT_EQ(program.ends(), 114) << "it starts over, and finds no device: " << program.output();
    EXPECT_EQ(program.count("closed"), 1U) << program.output();
}

INSTANTIATE_TEST_SUITE_P(Builds, Adsprpcd, ::testing::Values("", "-fortified"), build_name);

} // namespace
} // namespace fastrpc::traces
