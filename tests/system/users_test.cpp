// Sessions as every kind of user that a machine has, by the shipped policy.
#include "tests/system/machine.hpp"
#include "tests/system/own_rules.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* root_signed =
    R"({"rules": [{"name": "root-signed", "priority": 10, "subject": {"users": ["root"]},
  "domains": ["cdsp"], "kinds": ["signed"], "effect": "allow"}]})";

/// As a service with a user that exists for it alone.
json call_as_service(const Words& properties) {
    Words command{"/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=DynamicUser=yes"};
    for (const std::string& property : properties) command.push_back("--property=" + property);
    for (const std::string& word : caller({"--calls", "100"})) command.push_back(word);
    const stack::Outcome done = run(command);
    json result = json::parse(done.output, nullptr, false);
    if (!result.is_object()) result = {{"error", done.output + done.errors}};
    result["exit"] = done.code;
    return result;
}

} // namespace

TEST(Users, a_member_of_the_group_calls_the_dsp) {
    const json result = call(member, {"--calls", "100", "--threads", "4"});
    EXPECT_EQ(result["exit"], 0) << result;
    EXPECT_EQ(result.value("calls", 0), 400) << result;
}

TEST(Users, a_stranger_is_denied_and_told_why_and_how) {
    const json result = call(stranger, {"--calls", "1"});
    EXPECT_EQ(result["exit"], 3) << result;
    const std::string why = result.value("error", "");
    std::printf("what a stranger is told: %s\n", why.c_str());
    for (const char* part : {"everything-else", "/usr/lib/fastrpcd/policy.d/50-default.json", "group fastrpc"})
        EXPECT_NE(why.find(part), std::string::npos) << part << " is missing in: " << why;
}

TEST(Users, root_is_denied_like_anybody_until_a_rule_says_otherwise) {
    const Words signed_pd{"--pd", "signed", "--calls", "10"};
    EXPECT_EQ(call(root, signed_pd)["exit"], 3);
    const OwnRules rules(root_signed);
    const stack::Outcome reloaded = OwnRules::reload();
    ASSERT_EQ(reloaded.code, 0) << reloaded.errors;
    const json allowed = call(root, signed_pd);
    EXPECT_EQ(allowed["exit"], 0) << allowed;
    EXPECT_EQ(call(member, signed_pd)["exit"], 3) << "the rule is root's";
}

TEST(Users, a_broken_rule_fails_the_reload_and_leaves_the_old_policy_in_force) {
    const OwnRules rules("{\"rules\": [{\"name\": \"broken\" oops]}");
    EXPECT_NE(OwnRules::reload().code, 0);
    const std::string said =
        output({"/usr/bin/journalctl", "--quiet", "--output=cat", "--unit=fastrpcd.service", "-n", "20"});
    EXPECT_NE(said.find(OwnRules::file), std::string::npos) << "the place is named: " << said;
    EXPECT_EQ(show("fastrpcd", "ActiveState"), "active");
    EXPECT_EQ(call(member, {"--calls", "1"})["exit"], 0);
}

TEST(Users, a_service_with_a_dynamic_user_calls_when_it_has_the_group) {
    if (!bus_knows_dynamic_users()) GTEST_SKIP() << "this bus does not let dynamic users in";
    const json result = call_as_service({"SupplementaryGroups=fastrpc"});
    EXPECT_EQ(result["exit"], 0) << result;
    EXPECT_EQ(result.value("calls", 0), 100) << result;
}

TEST(Users, a_service_with_a_dynamic_user_and_no_group_is_denied) {
    if (!bus_knows_dynamic_users()) GTEST_SKIP() << "this bus does not let dynamic users in";
    const json result = call_as_service({});
    EXPECT_EQ(result["exit"], 3) << result;
    EXPECT_NE(result.value("error", "").find("everything-else"), std::string::npos) << result;
}

TEST(Users, what_is_left_of_all_their_sessions_is_at_most_one_host_that_waits) {
    EXPECT_TRUE(eventually([] { return active_units("fastrpc-session@*").size() <= 1; }))
        << active_units("fastrpc-session@*").size();
    EXPECT_TRUE(ctl(root, {"list"}).value("sessions", json({1})).empty());
    EXPECT_EQ(output({"/usr/bin/systemctl", "list-units", "--failed", "--plain", "--no-legend"}), "");
}
