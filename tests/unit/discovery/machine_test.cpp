// What discovery makes of nodes, remoteproc and the device tree, and of texts that are not what they should be.
#include "discovery/machine.hpp"
#include "tests/unit/discovery/fake_machine.hpp"

#include <algorithm>
#include <gtest/gtest.h>

using namespace fastrpc;
using namespace fastrpc::discovery;
using discovery::test::FakeMachine;

namespace {

bool has(const std::vector<std::string>& texts, const std::string& part) {
    return std::ranges::any_of(texts, [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

} // namespace

TEST(Discover, an_empty_machine_has_no_domain) {
    const FakeMachine fake;
    const Machine machine = discover(fake.roots());
    EXPECT_TRUE(machine.domains.empty());
    EXPECT_TRUE(machine.notes.empty());
    EXPECT_EQ(machine.model, "");
}

TEST(Discover, finds_the_nodes_of_every_label_in_the_order_in_which_hosts_try_them) {
    const FakeMachine fake;
    for (const char* name : {"fastrpc-cdsp", "fastrpc-cdsp-secure", "fastrpc-adsp-secure", "fastrpc-sdsp",
                             "fastrpc-cdsp1", "fastrpc-gdsp0", "fastrpc-gdsp1-secure", "fastrpc-mdsp", "null"})
        fake.add_node(name);
    fake.add_accel(0, "cdsp");
    const Machine machine = discover(fake.roots());
    ASSERT_EQ(machine.domains.size(), 7U);
    const FoundDomain* cdsp = machine.find(Domain::cdsp);
    ASSERT_NE(cdsp, nullptr);
    EXPECT_EQ(cdsp->nodes, (std::vector<Node>{{fake.dev("fastrpc-cdsp-secure"), Backend::misc, Domain::cdsp, true},
                                              {fake.dev("fastrpc-cdsp"), Backend::misc, Domain::cdsp, false},
                                              {fake.dev("accel/accel0"), Backend::accel, Domain::cdsp, false}}));
    EXPECT_EQ(machine.find(Domain::cdsp1)->nodes.size(), 1U);
    EXPECT_TRUE(machine.find(Domain::gdsp1)->nodes.at(0).secure);
    EXPECT_TRUE(machine.notes.empty());
}

TEST(Discover, says_what_it_sees_and_does_not_use) {
    const FakeMachine fake;
    for (const char* name : {"fastrpc-xdsp", "fastrpc-", "fastrpc--secure", "adsprpc-smd", "adsprpc-smd-secure"})
        fake.add_node(name);
    fake.add_node("accel/accel7"); // an accelerator of another maker: no label
    fake.add_accel(8, "cdsp-evil");
    fake.add_node("accel/accelX");
    const Machine machine = discover(fake.roots());
    EXPECT_TRUE(machine.domains.empty());
    EXPECT_TRUE(has(machine.notes, "/dev/fastrpc-xdsp"));
    EXPECT_TRUE(has(machine.notes, "/dev/accel/accel7 is not used: sysfs names no DSP"));
    EXPECT_TRUE(has(machine.notes, "/dev/accel/accelX"));
    EXPECT_TRUE(has(machine.notes, "/dev/adsprpc-smd-secure belongs to the downstream driver"));
    EXPECT_EQ(machine.notes.size(), 8U);
}

TEST(Discover, a_remoteproc_is_told_by_its_name_or_else_by_its_firmware) {
    const std::tuple<const char*, const char*, std::optional<Domain>> cases[] = {
        {"adsp", "", Domain::adsp},
        {"cdsp", "", Domain::cdsp},
        {"cdsp1", "", Domain::cdsp1},
        {"remoteproc-cdsp", "", Domain::cdsp},
        {"slpi", "", Domain::sdsp},
        {"mss", "", Domain::mdsp},
        {"gdsp0", "", Domain::gdsp0},
        {"3000000.remoteproc", "qcom/sc8280xp/qcadsp8280.mbn", Domain::adsp},
        {"26300000.remoteproc", "qcom/sa8775p/cdsp0.mbn", Domain::cdsp},
        {"2a300000.remoteproc", "qcom/sa8775p/cdsp1.mbn", Domain::cdsp1},
        {"20c00000.remoteproc", "qcom/sa8775p/gpdsp1.mbn", Domain::gdsp1},
        {"1.remoteproc", "qcom/adsp-folder/wcss.mbn", std::nullopt},
        {"spss", "qcom/spss.mbn", std::nullopt},
        {"wpss", "", std::nullopt},
        {"", "", std::nullopt}};
    for (const auto& [name, firmware, domain] : cases)
        EXPECT_EQ(domain_of_remoteproc(name, firmware), domain) << name << " " << firmware;
}

TEST(Discover, a_domain_without_a_node_says_why) {
    const FakeMachine fake;
    fake.add_remoteproc(0, "adsp", "running");
    fake.add_remoteproc(1, "cdsp", "crashed");
    fake.add_remoteproc(2, "cdsp1", "offline", "qcom/board/cdsp1.mbn");
    fake.add_remoteproc(3, "slpi", "offline", "qcom/board/slpi.mbn");
    fake.write("lib/firmware/qcom/board/slpi.mbn.zst", "firmware");
    fake.add_remoteproc(4, "wifi", "running");
    const Machine machine = discover(fake.roots());
    ASSERT_EQ(machine.domains.size(), 4U);
    EXPECT_EQ(machine.find(Domain::adsp)->remoteproc_state, "running");
    EXPECT_TRUE(has(machine.find(Domain::adsp)->problems, "has no node"));
    EXPECT_TRUE(has(machine.find(Domain::cdsp)->problems, "crashed"));
    EXPECT_TRUE(has(machine.find(Domain::cdsp1)->problems, "firmware qcom/board/cdsp1.mbn is not in"));
    EXPECT_TRUE(has(machine.find(Domain::sdsp)->problems, "nobody has started remoteproc slpi"));
    EXPECT_EQ(machine.find(Domain::gdsp0), nullptr);
}

TEST(Discover, a_domain_that_runs_and_has_its_node_has_no_problem) {
    const FakeMachine fake;
    fake.add_remoteproc(0, "adsp", "running", "missing.mbn");
    fake.add_node("fastrpc-adsp-secure");
    EXPECT_TRUE(discover(fake.roots()).find(Domain::adsp)->problems.empty());
}

TEST(Discover, texts_of_sysfs_are_bounded_and_printable) {
    const FakeMachine fake;
    fake.write("sys/firmware/devicetree/base/model", std::string("Board\x1b[2J\xff v1\0rest", 16));
    fake.add_remoteproc(0, "adsp" + std::string(5000, 'x'), "run\x07ning", "../../etc/passwd");
    const Machine machine = discover(fake.roots());
    EXPECT_EQ(machine.model, "Board?[2J? v1");
    EXPECT_EQ(machine.find(Domain::adsp)->remoteproc.size(), max_text);
    EXPECT_EQ(machine.find(Domain::adsp)->remoteproc_state, "run?ning");
    EXPECT_FALSE(has(machine.find(Domain::adsp)->problems, "passwd")) << "a path that leaves the firmware directory";
}

TEST(Discover, the_model_comes_from_the_old_place_where_sysfs_has_none) {
    const FakeMachine fake;
    fake.write("proc/device-tree/model", "Old board");
    EXPECT_EQ(discover(fake.roots()).model, "Old board");
}
