// PD definitions: those that are shipped, and what is wrong with those that are not.
#include "daemon/files/tree_writer.hpp"
#include "daemon/host/pd_definition.hpp"
#include "daemon/host/pd_tree.hpp"

#include "tests/support/scratch.hpp"
#include "tests/unit/discovery/fake_machine.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fastrpc::daemon {
namespace {

using test::Scratch;
const std::string shipped = CONFIG_DIRECTORY "/pd.d";

class Definitions : public ::testing::Test {
protected:
    Definitions() {
        for (const char* name : {"vendor", "run", "etc"}) directories_.push_back(scratch_.directory(name));
    }
    Result<PdDefinition> load(PdKind kind = PdKind::root) { return load_definition(directories_, Domain::adsp, kind); }
    /// The error of one file with this text.
    std::string error_of(const std::string& text) {
        scratch_.file("etc/a.json", text);
        const auto definition = load();
        return definition ? "none" : definition.error().text.substr(scratch_.path("etc").string().size() + 1);
    }

    Scratch scratch_;
    std::vector<std::string> directories_;
};

TEST_F(Definitions, a_pd_without_one_has_the_defaults) {
    const auto definition = load(PdKind::audio);
    ASSERT_TRUE(definition) << definition.error().text;
    EXPECT_EQ(definition->kind, PdKind::audio);
    EXPECT_TRUE(definition->enabled);
    EXPECT_EQ(definition->static_name, "audiopd");
    EXPECT_EQ(definition->static_heap_bytes, 3U << 20);
    EXPECT_EQ(definition->open_files, 256U);
    EXPECT_EQ(definition->writes.bytes_per_minute, 64U << 20);
}

TEST_F(Definitions, every_member_is_read) {
    scratch_.file("etc/a.json", R"({
        "$schema": "x", "description": "d", "domain": "adsp", "pd": "audio", "enabled": false, "unless": "sdsp",
        "static": {"name": "oispd", "heap_bytes": 0}, "search": ["{libraries}", "/x"],
        "files": [{"at": "/a", "from": ["{firmware}/f", "/g"], "state": "s/t", "searched": true},
                  {"at": "/b", "from": ["/h"], "file": true}],
        "soc_info": "/sys/devices/soc0", "environment": {"A": "/a;/b", "B": ""},
        "restart": {"first_ms": 1, "longest_ms": 2, "quiet_s": 3},
        "limits": {"open_files": 4, "name_bytes": 16, "written_bytes_per_minute": 5, "state_bytes": 6,
                   "state_entries": 7, "heap_bytes": 8}})");
    const auto read = load(PdKind::audio);
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->place, scratch_.path("etc/a.json").string() + ":1");
    EXPECT_FALSE(read->enabled);
    EXPECT_EQ(read->unless, Domain::sdsp);
    EXPECT_EQ(read->static_name, "oispd");
    EXPECT_EQ(read->static_heap_bytes, 0U);
    EXPECT_EQ(read->search, (std::vector<std::string>{"{libraries}", "/x"}));
    ASSERT_EQ(read->files.size(), 2U);
    EXPECT_EQ(read->files[0].from, (std::vector<std::string>{"{firmware}/f", "/g"}));
    EXPECT_EQ(read->files[0].state, "s/t");
    EXPECT_TRUE(read->files[0].searched);
    EXPECT_TRUE(read->files[1].file);
    EXPECT_EQ(read->soc_info, "/sys/devices/soc0");
    EXPECT_EQ(read->environment.at("A"), "/a;/b");
    EXPECT_EQ(read->restart.longest, std::chrono::milliseconds(2));
    EXPECT_EQ(read->restart.quiet, std::chrono::seconds(3));
    EXPECT_EQ(read->open_files, 4U);
    EXPECT_EQ(read->writes.total_bytes, 6U);
    EXPECT_EQ(read->writes.entries, 7U);
    EXPECT_EQ(read->heap_bytes, 8U);
}

TEST_F(Definitions, an_administrators_file_replaces_the_vendors_of_the_same_name) {
    scratch_.file("vendor/adsp-root.json", R"({"domain": "adsp", "pd": "root", "search": ["/vendor"]})");
    scratch_.file("run/adsp-root.json", R"({"domain": "adsp", "pd": "root", "search": ["/run"]})");
    EXPECT_EQ(load()->search.front(), "/run");
    scratch_.file("etc/adsp-root.json", R"({"domain": "adsp", "pd": "root", "enabled": false})");
    EXPECT_FALSE(load()->enabled);
    scratch_.file("etc/other.json", R"({"domain": "adsp", "pd": "root"})");
    const auto twice = load();
    ASSERT_FALSE(twice);
    EXPECT_NE(twice.error().text.find("is defined in " + scratch_.path("etc/adsp-root.json").string() + ":1"),
              std::string::npos)
        << twice.error().text;
}

TEST_F(Definitions, what_is_wrong_is_told_with_its_place) {
    EXPECT_EQ(error_of("{\"domain\": \"adsp\",\n \"pdd\": \"root\"}").substr(0, 55),
              "a.json:2:2: a PD definition has no key \"pdd\" (did you m");
    EXPECT_EQ(error_of("{\"domain\": \"adsp\"}"), "a.json:1:1: the definition has no \"pd\"");
    EXPECT_EQ(error_of(R"({"domain": "adspp", "pd": "root"})"),
              "a.json:1:12: there is no domain \"adspp\" (did you mean \"adsp\"?)");
    for (const auto& [text, what] : {
             std::pair(R"("pd": "unsigned")", "there is no static PD \"unsigned\""),
             {R"("pd": "root", "static": {}})", "only an audio PD is made by name"},
             {R"("pd": "root", "search": [])", "\"search\" is empty"},
             {R"("pd": "root", "search": ["lib"])", "must be an absolute path without"},
             {R"("pd": "root", "search": ["/a/../b"])", "must be an absolute path without"},
             {R"("pd": "root", "files": [{"from": ["/a"]}])", "has no \"at\""},
             {R"("pd": "root", "files": [{"at": "/a"}])", "neither \"from\" nor \"state\""},
             {R"("pd": "root", "files": [{"at": "/a", "state": "../x"}])", "a directory of the PD's own"},
             {R"("pd": "root", "files": [{"at": "/a", "state": "/x"}])", "a directory of the PD's own"},
             {R"("pd": "root", "files": [{"at": "/a", "from": ["/b"], "file": true, "searched": true}])",
              "neither written"},
             {R"("pd": "root", "environment": {"A=B": ""}})", "cannot be a variable"},
             {R"("pd": "root", "restart": {"first_ms": 5, "longest_ms": 4})", "longer than"},
             {R"("pd": "root", "restart": {"first_ms": 0})", "must be from 1 to"},
             {R"("pd": "root", "limits": {"open_files": 1e9}})", "\"open_files\" must be a whole number"},
             {R"("pd": "root", "limits": {"open_files": 0})", "must be from 1 to 65536"},
         }) {
        std::string whole = std::string(R"({"domain": "adsp", )") + text;
        while (std::ranges::count(whole, '{') > std::ranges::count(whole, '}')) whole += '}';
        EXPECT_NE(error_of(whole).find(what), std::string::npos) << whole << ": " << error_of(whole);
    }
    EXPECT_EQ(error_of("{").substr(0, 8), "a.json:1");
}

TEST(ShippedDefinitions, are_the_static_pds_of_all_dsps_and_are_read) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(shipped)) names.insert(entry.path().stem());
    EXPECT_EQ(names, (std::set<std::string>{"adsp-audio", "adsp-root", "adsp-sensors", "cdsp-root", "cdsp1-root",
                                            "gdsp0-root", "gdsp1-root", "sdsp-root", "sdsp-sensors"}));
    for (const std::string& name : names) {
        const std::size_t dash = name.find('-');
        const auto read =
            load_definition({{shipped}}, *domain_from(name.substr(0, dash)), *pd_kind_from(name.substr(dash + 1)));
        ASSERT_TRUE(read) << read.error().text;
        EXPECT_TRUE(read->place.starts_with(shipped + '/' + name + ".json:")) << read->place;
    }
    EXPECT_EQ(load_definition({{shipped}}, Domain::adsp, PdKind::sensors)->unless, Domain::sdsp);
}

TEST(ShippedDefinitions, the_schema_knows_the_keys_that_are_read) {
    std::ifstream in(CONFIG_DIRECTORY "/schema/pd.schema.json");
    const auto schema = nlohmann::json::parse(in);
    const auto keys = [](const nlohmann::json& object) {
        std::vector<std::string> names;
        for (const auto& [key, value] : object.at("properties").items()) names.push_back(key);
        return names;
    };
    // The reader's complaint about an unknown key lists those that it knows, where none is near.
    const auto known = [](const std::string& text) {
        const Scratch scratch;
        scratch.file("d/a.json", text);
        return load_definition({{scratch.path("d").string()}}, Domain::adsp, PdKind::audio).error().text;
    };
    const std::string zzz = R"("ZZZZZZZZZZZZZZZZ": 0)";
    const std::string head = R"({"domain": "adsp", "pd": "audio", )";
    for (const auto& [text, part] : {std::pair(head + zzz + "}", schema),
                                     {head + R"("static": {)" + zzz + "}}", schema["properties"]["static"]},
                                     {head + R"("restart": {)" + zzz + "}}", schema["properties"]["restart"]},
                                     {head + R"("limits": {)" + zzz + "}}", schema["properties"]["limits"]},
                                     {head + R"("files": [{)" + zzz + "}]}", schema["$defs"]["entry"]}}) {
        const std::string complaint = known(text);
        for (const std::string& key : keys(part))
            EXPECT_NE(complaint.find('"' + key + '"'), std::string::npos) << key << ": " << complaint;
        EXPECT_EQ(std::ranges::count(complaint.substr(complaint.find("known:")), '"'),
                  static_cast<std::ptrdiff_t>(2 * keys(part).size()))
            << complaint;
    }
}

/// A phone whose sensors and audio files lie where hexagonrpcd's users have them.
class Phone : public ::testing::Test {
protected:
    Phone() {
        machine_.write("proc/device-tree/model", "OnePlus 6" + std::string(1, '\0'));
        using namespace std::string_literals;
        machine_.write("proc/device-tree/compatible", "oneplus,enchilada\0qcom,sdm845\0"s);
        machine_.write(files_ + "sensors/config/lsm6.json", "{}");
        machine_.write(files_ + "sensors/registry/factory", "calibration");
        machine_.write(files_ + "sensors/sns_reg.conf", "conf");
        machine_.write(files_ + "acdb/cal.acdb", "tuning");
        machine_.write(files_ + "dsp/adsp/libx.so", "module");
        machine_.write(files_ + "socinfo/soc_id", "321\n");
        machine_.write("usr/share/qcom/conf.d/10-a.yaml", "machines:\n  OnePlus 6:\n    DSP_LIBRARY_PATH: wrong\n");
        machine_.write("usr/share/qcom/conf.d/20-b.yml",
                       "machines:\n  \"OnePlus 6\":\n    DSP_LIBRARY_PATH: \"sdm845/OnePlus/enchilada/libs\"\n");
        machine_.write("usr/share/qcom/conf.d/30-c.yaml", "machines: [broken");
        machine_.write("usr/share/qcom/sdm845/OnePlus/enchilada/libs/liby.so", "of the machine");
        machine_.write("usr/lib/dsp/liby.so", "of all");
    }
    FileTree tree(PdKind kind) {
        const auto definition = load_definition({{shipped}}, Domain::adsp, kind);
        EXPECT_TRUE(definition);
        if (has_state(*definition)) overlay_.emplace(*Overlay::open(scratch_.path("state")));
        auto built = build_tree(*definition, overlay_ ? &*overlay_ : nullptr, machine_.roots());
        EXPECT_TRUE(built) << built.error().text;
        return std::move(*built);
    }
    static std::string read(const FileTree& tree, std::string_view name) {
        const auto file = tree.open(name);
        if (!file) return file.error().text;
        std::string text(file->size, '\0');
        EXPECT_EQ(::pread(file->fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
        return text;
    }

    discovery::test::FakeMachine machine_;
    Scratch scratch_;
    std::optional<Overlay> overlay_;
    const std::string files_ = "usr/share/qcom/sdm845/OnePlus/enchilada/";
};

TEST_F(Phone, sensors_find_their_files_where_hexagonrpcd_has_them) {
    const FileTree files = tree(PdKind::sensors);
    EXPECT_EQ(read(files, "/vendor/etc/sensors/config/lsm6.json"), "{}");
    EXPECT_EQ(read(files, "/system/vendor/etc/sensors/sns_reg_config"), "conf");
    EXPECT_EQ(read(files, "/mnt/vendor/persist/sensors/registry/registry/factory"), "calibration");
    EXPECT_EQ(read(files, "/persist/sensors/registry/registry/factory"), "calibration");
    EXPECT_EQ(read(files, "/sys/devices/soc0/soc_id"), "321\n");
    EXPECT_EQ(read(files, "/sys/devices/soc0/machine"), "OnePlus 6\n") << "from the device tree";
    EXPECT_TRUE(files.open_directory("/vendor/etc/sensors/config"));
    EXPECT_EQ(files.open_directory("/sys/devices/soc0")->extra.size(), 2U);
    OpenFiles open;
    TreeWriter writer(files, open);
    auto file = writer.open("/persist/sensors/registry/registry/new", *OpenMode::parse("w"));
    ASSERT_TRUE(file);
    EXPECT_EQ(file->publish(), 0);
    EXPECT_TRUE(files.exists("/mnt/vendor/persist/sensors/registry/registry/new")) << "both names are one registry";
    EXPECT_TRUE(std::filesystem::exists(scratch_.path("state/sensors/registry/new")));
    EXPECT_EQ(writer.open("/vendor/etc/sensors/config/new", *OpenMode::parse("w")).error(), EROFS);
}

TEST_F(Phone, libraries_of_the_machine_come_before_those_of_all) {
    const FileTree files = tree(PdKind::root);
    EXPECT_EQ(read(files, "liby.so"), "of the machine");
    EXPECT_EQ(read(files, "libx.so"), "module") << "as /usr/lib/qcom/adsp";
    EXPECT_EQ(read(files, "/usr/lib/qcom/adsp/libx.so"), "module");
}

TEST_F(Phone, audio_finds_its_tuning_by_the_variable) {
    const auto definition = load_definition({{shipped}}, Domain::adsp, PdKind::audio);
    const FileTree files = tree(PdKind::audio);
    const auto file = files.open("cal.acdb", {definition->environment.at("ADSP_AVS_CFG_PATH")});
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_EQ(file->path, "/vendor/etc/acdbdata/cal.acdb");
}

TEST(OtherMachines, one_without_any_file_gives_an_empty_tree_and_no_error) {
    const discovery::test::FakeMachine machine;
    for (const PdKind kind : {PdKind::root, PdKind::audio, PdKind::sensors}) {
        const auto definition = load_definition({{shipped}}, Domain::adsp, kind);
        const auto tree = build_tree(*definition, nullptr, machine.roots());
        ASSERT_TRUE(tree) << tree.error().text;
        EXPECT_EQ(tree->open("libx.so").error().os_error, ENOENT);
    }
}

TEST(OtherMachines, androids_own_places_work_as_they_are) {
    const discovery::test::FakeMachine machine;
    machine.write("vendor/etc/sensors/config/a.json", "{}");
    machine.write("mnt/vendor/persist/sensors/registry/registry/r", "r");
    const auto definition = load_definition({{shipped}}, Domain::sdsp, PdKind::sensors);
    const auto tree = build_tree(*definition, nullptr, machine.roots());
    ASSERT_TRUE(tree);
    EXPECT_TRUE(tree->open("/vendor/etc/sensors/config/a.json"));
    EXPECT_TRUE(tree->open("/mnt/vendor/persist/sensors/registry/registry/r"));
    EXPECT_EQ(tree->writable("/mnt/vendor/persist/sensors/registry/registry/r").error().os_error, EROFS);
}

TEST(OtherMachines, a_device_tree_that_names_paths_leads_nowhere) {
    const discovery::test::FakeMachine machine;
    using namespace std::string_literals;
    machine.write("proc/device-tree/model", "../.. x\0"s);
    machine.write("proc/device-tree/compatible", "a,../../../etc\0qcom,../..\0"s);
    EXPECT_EQ(discovery::machine_files(machine.roots()).firmware, "/usr/share/qcom");
}

} // namespace
} // namespace fastrpc::daemon
