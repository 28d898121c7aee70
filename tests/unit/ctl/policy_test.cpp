// fastrpcctl policy: list, check, test and explain, with fastrpcd and without.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <fstream>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;
using fastrpc::ctl::test::lines_of;

namespace {

constexpr const char* good = R"({ "rules": [
  { "name": "one", "subject": { "users": [1] }, "domains": ["cdsp"], "kinds": ["unsigned"], "effect": "allow" },
  { "name": "two", "priority": 5, "subject": { "any": true }, "domains": ["adsp"], "kinds": ["signed"], "effect": "deny" } ] })";

class CtlPolicy : public testing::Test {
protected:
    PrivateSystem system{{.start = false}};

    std::string file(const std::string& name, const std::string& text) {
        const auto path = system.directory() / name;
        std::ofstream(path) << text;
        ::chmod(path.c_str(), 0644);
        return path.string();
    }
};

} // namespace

TEST_F(CtlPolicy, check_reads_files_offline_and_says_place_and_mistake) {
    const Outcome fine = system.ctl({"policy", "check", file("10-good.json", good)});
    EXPECT_EQ(fine.code, 0) << fine.errors;
    EXPECT_TRUE(has(fine.output, "ok: 2 rules, revision ")) << fine.output;
    const std::string bad = file("20-bad.json", "{\n  \"rulez\": []\n}");
    const Outcome broken = system.ctl({"policy", "check", bad});
    EXPECT_EQ(broken.code, 1);
    EXPECT_TRUE(has(broken.output, bad + ":2:")) << broken.output;
    const json said = json::parse(system.ctl({"policy", "check", bad, "--json"}).output, nullptr, false);
    EXPECT_TRUE(has(said["error"], "rulez")) << said.dump();
    EXPECT_EQ(system.ctl({"policy", "check"}).code, 2);
}

TEST_F(CtlPolicy, test_holds_a_table_against_files_and_names_what_differs) {
    const std::string policy = file("10-good.json", good);
    const std::string table = file("table.json", R"({ "requests": [
  { "uid": 1, "domain": "cdsp", "pd": "unsigned", "expect": "allow", "rule": "one" },
  { "uid": 1, "domain": "cdsp", "pd": "signed", "expect": "allow" } ] })");
    const Outcome outcome = system.ctl({"policy", "test", "--policy", policy, table});
    EXPECT_EQ(outcome.code, 1) << outcome.output << outcome.errors;
    EXPECT_TRUE(has(outcome.output, "1 passed, 1 failed\n")) << outcome.output;
    EXPECT_TRUE(has(outcome.output, "table.json:3: ")) << outcome.output;
    EXPECT_TRUE(has(outcome.output, "expected allow, got deny")) << outcome.output;
    const Outcome none = system.ctl({"policy", "test", "--policy", policy, file("bad.json", "[")});
    EXPECT_EQ(none.code, 2);
    EXPECT_TRUE(has(none.errors, "bad.json:")) << none.errors;
}

TEST_F(CtlPolicy, list_shows_what_is_in_force_and_else_what_the_files_say) {
    const std::string directory = (system.directory() / "policy.d").string();
    const Outcome offline = system.ctl({"policy", "list", "--policy-dir", directory});
    EXPECT_EQ(offline.code, 0) << offline.errors;
    EXPECT_TRUE(has(offline.output, "fastrpcd does not run")) << offline.output;
    system.start_fastrpcd();
    const Outcome text = system.ctl({"policy", "list"});
    EXPECT_EQ(text.code, 0) << text.errors;
    for (const char* part :
         {"PRIORITY", "unsigned-for-some", "nothing-signed", "50-test.json:", "deny", "unsigned on cdsp"})
        EXPECT_TRUE(has(text.output, part)) << part << '\n' << text.output;
    const json all = json::parse(system.ctl_as(65534, {"policy", "list", "--json"}).output, nullptr, false);
    EXPECT_EQ(all["source"], "fastrpcd");
    ASSERT_EQ(all["rules"].size(), 4U) << all.dump(1);
    EXPECT_EQ(all["rules"][0]["effect"], "allow");
    EXPECT_EQ(json::parse(system.ctl({"policy", "list", "--json", "--policy-dir", directory}).output, nullptr,
                          false)["revision"],
              all["revision"]);
}

TEST_F(CtlPolicy, explain_takes_words_or_options_and_tells_near_misses_and_a_change_to_paste) {
    system.start_fastrpcd();
    const Outcome options = system.ctl({"policy", "explain", "--domain", "cdsp", "--pd", "unsigned", "--user", "3"});
    EXPECT_EQ(options.code, 1);
    const Outcome words = system.ctl({"policy", "explain", "cdsp", "unsigned", "--uid", "3"});
    EXPECT_EQ(options.output, words.output);
    EXPECT_EQ(system.ctl({"policy", "explain", "--user", "3", "cdsp", "unsigned"}).output, words.output);
    EXPECT_TRUE(has(words.output, "near:   rule \"unsigned-for-some\"")) << words.output;
    const json said = json::parse(system.ctl({"policy", "explain", "--user", "3", "--json"}).output, nullptr, false);
    EXPECT_EQ(said["allowed"], false);
    EXPECT_GE(said["near-count"], 3);
    ASSERT_TRUE(said["change"].is_string());
    // Pasted, it allows just that.
    file("policy.d/" + std::filesystem::path(said["change-file"].get<std::string>()).filename().string(),
         said["change"]);
    EXPECT_EQ(system.ctl({"policy", "reload"}).code, 0);
    EXPECT_EQ(system.ctl({"policy", "explain", "--user", "3"}).code, 0);
    EXPECT_EQ(system.ctl({"policy", "explain", "--user", "4"}).code, 1);
}

TEST_F(CtlPolicy, explain_knows_the_modules_and_the_label_that_it_is_asked_about) {
    file("policy.d/60-module.json", R"({ "rules": [
      { "name": "one-module", "subject": { "users": [3] }, "domains": ["cdsp"], "kinds": ["unsigned"],
        "modules": ["libgood_skel.so"], "effect": "allow" } ] })");
    system.start_fastrpcd();
    const auto explain = [&](std::vector<std::string> more) {
        more.insert(more.begin(), {"policy", "explain", "--user", "3"});
        return system.ctl(more);
    };
    EXPECT_EQ(explain({"--module", "libgood_skel.so"}).code, 0) << explain({"--module", "libgood_skel.so"}).output;
    EXPECT_EQ(explain({"--module", "libgood_skel.so", "--module", "libother_skel.so"}).code, 1);
    EXPECT_EQ(explain({"--label", "some_label"}).code, explain({}).code);
    const Outcome stranger = system.ctl_as(65534, {"policy", "explain", "--label", "some_label"});
    EXPECT_NE(stranger.code, 0) << "a label that is not one's own is somebody else's";
}
