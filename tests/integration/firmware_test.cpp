// The shipped scripts of the virtual firmware, served by real hosts: what images do at each start works, and goes on to
// work over restarts of the DSP and of the host.
#include "tests/integration/firmware_files.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class FirmwareOnHosts : public testing::Test {
protected:
    FirmwareFiles files_;
    System system_ = start_system({.root_hosts = false, .firmware = stack::source_root() / "config/vdsp/firmware"});
};

TEST_F(FirmwareOnHosts, of_sensors_finds_its_registry_whole_after_every_restart) {
    StaticPd sensors(*system_, "adsp", "sensors", files_.sensors());
    std::uint32_t starts = 0;
    const auto expect_start = [&](const char* after) {
        SCOPED_TRACE(after);
        ++starts;
        EXPECT_TRUE(stack::eventually([&] { return starts_counted(sensors) == starts; }))
            << firmware(sensors) << sensors.log();
        EXPECT_EQ(firmware(sensors).value("state", ""), "done") << firmware(sensors);
        EXPECT_EQ(entries(sensors.state_directory() / "registry"), 1U) << "no temporary file is left";
    };
    expect_start("the first start");
    command(*system_, {{"command", "crash"}, {"domain", "adsp"}, {"pd", "sensors"}});
    expect_start("a crash of the PD");
    command(*system_, {{"command", "restart"}, {"domain", "adsp"}});
    expect_start("a restart of the DSP");
    sensors.restart();
    expect_start("a restart of the host");
}

TEST_F(FirmwareOnHosts, of_audio_reads_its_tuning_through_its_variable) {
    const StaticPd audio(*system_, "adsp", "audio", files_.audio());
    EXPECT_EQ(firmware(audio).value("state", ""), "done") << firmware(audio) << audio.log();
    EXPECT_GT(audio.state().value("reverse_calls", 0), 20) << "both files in pieces of 1, 7, 255 and 4097 bytes";
    EXPECT_GE(audio.mapped(), 1U << 20) << "a piece of heap was asked for";
}

TEST_F(FirmwareOnHosts, of_root_comes_to_its_end) {
    const StaticPd root(*system_, "cdsp", "root", files_.root());
    EXPECT_EQ(firmware(root).value("state", ""), "done") << firmware(root) << root.log();
    // As people run one.
    files_.scratch().file(
        "script.json",
        R"([{"do":"fopen","name":"/usr/lib/qcom/adsp/acdb_cal.acdb","as":"f"},{"do":"fclose","fd":"$f"}])");
    const auto script = files_.scratch().path("script.json");
    const auto printed = system_->control_soc({"run", "cdsp", "root", script});
    ASSERT_TRUE(printed) << printed.error().text;
    EXPECT_EQ(json::parse(*printed)["outcomes"][1]["code"], 0) << *printed;
    EXPECT_FALSE(system_->control_soc({"run", "cdsp", "audio", script}));
}

} // namespace
