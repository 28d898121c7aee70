// The shipped scripts of the virtual firmware, served by real hosts: what images do at each start works, and goes on to
// work over restarts of the DSP and of the host.
#include "tests/integration/static_pd.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class FirmwareOnHosts : public testing::Test {
protected:
    FirmwareOnHosts() {
        std::filesystem::permissions(scratch_.path(), std::filesystem::perms(0755));
        scratch_.file("config/one.json", "{}");
        scratch_.file("config/two.json", std::string(5000, '2'));
        scratch_.file("soc0/soc_id", "415\n");
        scratch_.file("soc0/hw_platform", "MTP\n");
        scratch_.file("acdb/acdb_cal.acdb", std::string(20'000, 'a'));
        scratch_.file("acdb/mtp_workspace.qwsp", std::string(100, 'm'));
    }

    json from(const char* at, const char* directory) const {
        return {{"at", at}, {"from", {scratch_.path(directory).string()}}};
    }
    /// Waits for the end of the firmware's script; where it is.
    static json firmware(const StaticPd& pd) {
        json now;
        stack::eventually([&] {
            now = pd.state().value("firmware", json::object());
            return now.is_object() && (now.value("state", "") == "done" || now.value("state", "") == "failed");
        });
        return now;
    }

    Scratch scratch_;
    System system_ = start_system({.root_hosts = false, .firmware = stack::source_root() / "config/vdsp/firmware"});
};

constexpr const char* registry = "/mnt/vendor/persist/sensors/registry/registry";

TEST_F(FirmwareOnHosts, of_sensors_finds_its_registry_whole_after_every_restart) {
    StaticPd sensors(*system_, "adsp", "sensors",
                     {{"files",
                       {from("/vendor/etc/sensors/config", "config"),
                        from("/sys/devices/soc0", "soc0"),
                        {{"at", registry}, {"state", "registry"}}}}});
    const auto file = sensors.state_directory() / "registry/vdsp_state";
    std::uint32_t starts = 0;
    const auto expect_start = [&](const char* after) {
        SCOPED_TRACE(after);
        ++starts;
        EXPECT_TRUE(stack::eventually([&] {
            std::uint32_t counted = 0;
            std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&counted), sizeof counted);
            return counted == starts;
        })) << firmware(sensors)
            << sensors.log();
        EXPECT_EQ(firmware(sensors).value("state", ""), "done") << firmware(sensors);
        EXPECT_EQ(std::filesystem::file_size(file), 6004U);
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
    const StaticPd audio(*system_, "adsp", "audio",
                         {{"files", {from("/vendor/etc/acdbdata", "acdb")}},
                          {"environment", {{"ADSP_AVS_CFG_PATH", "/vendor/etc/acdbdata/"}}}});
    EXPECT_EQ(firmware(audio).value("state", ""), "done") << firmware(audio) << audio.log();
    EXPECT_GT(audio.state().value("reverse_calls", 0), 20) << "both files in pieces of 1, 7, 255 and 4097 bytes";
    EXPECT_GE(audio.mapped(), 1U << 20) << "a piece of heap was asked for";
}

TEST_F(FirmwareOnHosts, of_root_comes_to_its_end) {
    const StaticPd root(*system_, "cdsp", "root", {{"files", {from("/usr/lib/qcom/adsp", "acdb")}}});
    EXPECT_EQ(firmware(root).value("state", ""), "done") << firmware(root) << root.log();
    // As people run one.
    scratch_.file("script.json",
                  R"([{"do":"fopen","name":"/usr/lib/qcom/adsp/acdb_cal.acdb","as":"f"},{"do":"fclose","fd":"$f"}])");
    const auto printed = system_->control_soc({"run", "cdsp", "root", scratch_.path("script.json")});
    ASSERT_TRUE(printed) << printed.error().text;
    EXPECT_EQ(json::parse(*printed)["outcomes"][1]["code"], 0) << *printed;
    EXPECT_FALSE(system_->control_soc({"run", "cdsp", "audio", scratch_.path("script.json")}));
}

} // namespace
