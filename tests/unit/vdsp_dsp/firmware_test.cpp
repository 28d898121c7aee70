// The scripts that PDs run by themselves when a host registers, the shipped ones among them.
#include "script_host.hpp"

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;

std::string shipped(const char* name) {
    const Bytes bytes = file_bytes((std::string(FIRMWARE) + "/" + name).c_str());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Firmware : public ScriptTest {
protected:
    /// The client registers with `pd`, as a daemon does.
    void announce(std::int32_t client, unsigned pd) {
        const Opened module = open(client, pd, "adsp_default_listener");
        ASSERT_EQ(finish(send(client, pd, main_tid, module.handle, 0)), 0);
    }
    json state(std::string_view kind = "root") {
        const json all = json::parse(status());
        for (const json& pd : all["pds"])
            if (pd["kind"] == kind) return pd["firmware"];
        return nullptr;
    }
    void run_to(const char* wanted, std::string_view kind = "root") {
        run_until([&] { return state(kind).is_object() && state(kind)["state"] == wanted; });
    }
};

TEST_F(Firmware, runs_once_a_host_registered_and_its_state_is_visible) {
    ready({.firmware = {{PdKind::root, R"([{"do":"fclose","fd":4},{"do":"fclose","fd":77}])"}}});
    EXPECT_EQ(state(), (json{{"state", "waiting"}, {"step", 0}, {"text", ""}}));
    announce(1, 0);
    run_to("done");
    EXPECT_EQ(state()["step"], 2);
    const auto closes = [&] { return std::ranges::count(seen, 0x03010000U, &Seen::scalars); };
    EXPECT_EQ(closes(), 2);
    announce(1, 0);
    EXPECT_EQ(closes(), 2) << "once for each host";
    ASSERT_EQ(release(1, 0), 0);
    ASSERT_EQ(attach(2), 0);
    listen(2, 0);
    announce(2, 0);
    run_until([&] { return closes() == 4; });
}

TEST_F(Firmware, that_fails_says_at_which_step_and_why) {
    ready({.firmware = {{PdKind::root, R"([{"do":"fclose","fd":4},{"do":"fclose","fd":77,"expect":0}])"}}});
    announce(1, 0);
    run_to("failed");
    EXPECT_EQ(state()["step"], 1);
    EXPECT_NE(state()["text"].get<std::string>().find("brought 9"), std::string::npos);
}

TEST_F(Firmware, of_a_pd_without_a_script_is_what_is_built_in) {
    ready();
    EXPECT_TRUE(state().is_null());
    announce(1, 0);
    run_until([&] { return std::ranges::count(seen, 0x02010100U, &Seen::scalars) == 1; }); // a piece of heap
}

TEST_F(Firmware, as_shipped_for_root_pushes_its_lines) {
    ready({.firmware = {{PdKind::root, shipped("root.json")}}});
    announce(1, 0);
    run_to("done");
    EXPECT_EQ(std::ranges::count(seen, 0x00020000U, &Seen::scalars), 1);
}

TEST_F(Firmware, as_shipped_for_audio_loads_its_tuning_files) {
    files["acdb_cal.acdb"] = Bytes(20'000, std::byte{3});
    ready({.firmware = {{PdKind::audio, shipped("audio.json")}, {PdKind::root, shipped("audio.json")}}});
    announce(1, 0);
    run_to("done");
    EXPECT_EQ(std::ranges::count(seen, 0x13050100U, &Seen::scalars), 2);
    EXPECT_EQ(std::ranges::count(seen, 0x02010100U, &Seen::scalars), 3);
    EXPECT_GT(std::ranges::count(seen, 0x04010200U, &Seen::scalars), 20);
}

TEST_F(Firmware, as_shipped_for_sensors_reads_back_what_its_last_start_wrote) {
    const std::string path = "/mnt/vendor/persist/sensors/registry/registry/vdsp_state";
    accept_all = false;
    directory = {"one.json"};
    files["/vendor/etc/sensors/config/one.json"] = bytes_of_text("{}");
    start({.firmware = {{PdKind::sensors, shipped("sensors.json")}}});
    for (std::int32_t client = 1; client <= 3; ++client) {
        ASSERT_EQ(attach(client, 2), 0);
        listen(client, 2);
        announce(client, 2);
        run_until([&] {
            return files.contains(path) && value_at<std::int32_t>(files[path]) == client &&
                   state("sensors")["state"] == "done";
        });
        EXPECT_EQ(files[path].size(), 6004U);
        EXPECT_FALSE(files.contains(path + ".tmp"));
        ASSERT_EQ(release(client, 2), 0);
    }
    files[path].at(3000) ^= std::byte{1};
    ASSERT_EQ(attach(4, 2), 0);
    listen(4, 2);
    announce(4, 2);
    run_to("failed", "sensors");
    EXPECT_NE(state("sensors")["text"].get<std::string>().find("check"), std::string::npos);
}

} // namespace
} // namespace fastrpc::vdsp::test
