// The SoC's JSON file: what it may say, and the words for what it may not.
#include "vdsp/driver/soc.hpp"

#include "tests/support/scratch.hpp"

#include <gtest/gtest.h>

namespace fastrpc::vdsp {
namespace {

TEST(SocDescription, reads_every_key) {
    const auto soc = parse_soc(R"({"domains": [{"name": "cdsp", "slots": 3, "attributes": {"1": 1, "6": "0x73"}},
                                   {"name": "sdsp", "secure": false}], "heaps": ["a", "b"], "kernel_timeout_ms": 5})");
    ASSERT_TRUE(soc) << soc.error().text;
    EXPECT_EQ(soc->domains[0].domain, Domain::cdsp);
    EXPECT_EQ(soc->domains[0].slots, 3U);
    EXPECT_EQ(soc->domains[0].attributes.at(6), 0x73U);
    EXPECT_TRUE(soc->domains[0].secure);
    EXPECT_EQ(soc->domains[1].slots, 14U);
    EXPECT_FALSE(soc->domains[1].secure);
    EXPECT_EQ(soc->heaps.size(), 2U);
    EXPECT_EQ(soc->kernel_timeout_ms, 5U);
}

class BadSoc : public testing::TestWithParam<const char*> {};
TEST_P(BadSoc, is_refused_with_a_word) {
    const auto soc = parse_soc(GetParam());
    ASSERT_FALSE(soc);
    EXPECT_EQ(soc.error().kind, ErrorKind::invalid);
    EXPECT_TRUE(soc.error().text.starts_with("SoC description: "));
}
INSTANTIATE_TEST_SUITE_P(Texts, BadSoc,
                         testing::Values("", "[]", "{", "{}", R"({"domains": []})", R"({"domains": {}})",
                                         R"({"domains": [1]})", R"({"domains": [{"name": "ndsp"}]})",
                                         R"({"domains": [{"name": "cdsp", "slots": 0}]})",
                                         R"({"domains": [{"name": "cdsp", "slots": 15}]})",
                                         R"({"domains": [{"name": "cdsp", "slot": 1}]})",
                                         R"({"domains": [{"name": "cdsp"}, {"name": "cdsp"}]})",
                                         R"({"domains": [{"name": "cdsp", "firmware": {"user": "x.json"}}]})",
                                         R"({"domains": [{"name": "cdsp", "firmware": {"root": "/nonexistent"}}]})",
                                         R"({"domains": [{"name": "cdsp", "attributes": {"256": 1}}]})",
                                         R"({"domains": [{"name": "cdsp", "attributes": {"1": "x"}}]})",
                                         R"({"domains": [{"name": "cdsp"}], "heaps": ["a/b"]})",
                                         R"({"domains": [{"name": "cdsp"}], "kernel_timeout_ms": 0})",
                                         R"({"domains": [{"name": "cdsp"}], "heap": []})"));

TEST(SocDescription, scripts_of_the_firmware_are_read_beside_it) {
    const test::Scratch scratch;
    scratch.file("fw/root.json", R"([{"do":"ftell","fd":1}])");
    scratch.file("soc.json", R"({"domains": [{"name": "adsp", "firmware": {"root": "fw/root.json"}}]})");
    const auto soc = load_soc(scratch.path("soc.json").string());
    ASSERT_TRUE(soc) << soc.error().text;
    EXPECT_EQ(soc->domains[0].firmware, (std::map<PdKind, std::string>{{PdKind::root, R"([{"do":"ftell","fd":1}])"}}));
    scratch.file("fw/root.json", "{}");
    const auto broken = load_soc(scratch.path("soc.json").string());
    ASSERT_FALSE(broken);
    EXPECT_NE(broken.error().text.find("fw/root.json"), std::string::npos);
}

TEST(SocDescription, a_missing_file_is_named) {
    const auto soc = load_soc("/nonexistent/soc.json");
    ASSERT_FALSE(soc);
    EXPECT_NE(soc.error().text.find("/nonexistent/soc.json"), std::string::npos);
}

} // namespace
} // namespace fastrpc::vdsp
