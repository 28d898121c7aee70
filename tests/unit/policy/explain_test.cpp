// Explanations: they name rule, file and line, and what they advise works.
#include "fixture.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class Explain : public PolicyFiles {
protected:
    // The file that the fix would have an administrator add, put into place; the policy then.
    Policy follow(const std::string& fix) {
        const std::string lead = "an administrator can add " + directories_.back() + "/";
        const auto name_end = fix.find(" with {");
        EXPECT_EQ(fix.substr(0, lead.size()), lead);
        if (name_end == std::string::npos) throw std::runtime_error("no JSON in: " + fix);
        write(fix.substr(lead.size(), name_end - lead.size()), fix.substr(name_end + 6), directories_.size() - 1);
        Result<Policy> policy = load();
        if (!policy) throw std::runtime_error(policy.error().text);
        return *policy;
    }
    [[nodiscard]] std::string at(unsigned line) const {
        return "(" + directories_[0] + "/p.json:" + std::to_string(line) + ")";
    }
};

constexpr Object cdsp_unsigned{Domain::cdsp, PdKind::unsigned_user};
constexpr Object cdsp_signed{Domain::cdsp, PdKind::signed_user};

} // namespace

TEST_F(Explain, an_allowed_request_names_its_rule_and_what_matched) {
    const Policy policy =
        good(file_of({rule("any", R"("any": true)", R"("cdsp1")", R"("signed")", "allow"),
                      rule("u", R"("users": [7])", R"("cdsp")", R"("signed")", "allow"),
                      rule("g", R"("groups": [50, 60])", R"("cdsp")", R"("unsigned")", "allow"),
                      rule("ug", R"("users": ["1-9"], "groups": [70])", R"("adsp")", R"("audio")", "allow")}));
    EXPECT_EQ(policy.decide({7, {}, ""}, {Domain::cdsp1, PdKind::signed_user}).reason,
              "rule \"any\" " + at(2) + " allows uid 7 a signed PD on cdsp1: it is for everybody");
    EXPECT_EQ(policy.decide({7, {}, ""}, cdsp_signed).reason,
              "rule \"u\" " + at(3) + " allows uid 7 a signed PD on cdsp: uid 7 is among its users");
    EXPECT_EQ(policy.decide({7, {60}, ""}, cdsp_unsigned).reason,
              "rule \"g\" " + at(4) + " allows uid 7 an unsigned PD on cdsp: uid 7 is in group 60");
    EXPECT_EQ(policy.decide({7, {70}, ""}, {Domain::adsp, PdKind::audio}).reason,
              "rule \"ug\" " + at(5) +
                  " allows uid 7 an audio PD on adsp: uid 7 is among its users and uid 7 is in group 70");
}

TEST_F(Explain, a_denying_rule_is_named_with_file_and_line) {
    const Policy policy = good(file_of({rule("no", R"("any": true)", R"("cdsp")", R"("signed")", "deny")}));
    const Decision decision = policy.decide({7, {}, ""}, cdsp_signed);
    EXPECT_EQ(decision.rule, "no");
    EXPECT_EQ(decision.file, directories_[0] + "/p.json");
    EXPECT_EQ(decision.line, 2U);
    EXPECT_EQ(decision.reason, "rule \"no\" " + at(2) + " denies uid 7 a signed PD on cdsp: it is for everybody");
}

TEST_F(Explain, a_default_denial_names_the_nearest_rules) {
    const Policy policy = good(file_of({rule("g", R"("groups": [50, 60])", R"("cdsp")", R"("unsigned")", "allow"),
                                        rule("d", R"("users": [7])", R"("gdsp0", "gdsp1")", R"("unsigned")", "allow"),
                                        rule("k", R"("any": true)", R"("cdsp")", R"("signed")", "allow"),
                                        rule("far", R"("users": [8])", R"("adsp")", R"("signed")", "allow")}));
    const Decision decision = policy.decide({7, {}, ""}, cdsp_unsigned);
    EXPECT_EQ(decision.rule, "");
    EXPECT_EQ(decision.line, 0U);
    EXPECT_EQ(decision.reason, "no rule allows uid 7 an unsigned PD on cdsp; nearest: rule \"g\" " + at(2) +
                                   " allows it, but only to members of group 50 or 60, rule \"d\" " + at(3) +
                                   " allows it, but only on gdsp0, gdsp1, rule \"k\" " + at(4) +
                                   " allows it, but only for kind signed");
}

TEST_F(Explain, no_more_than_three_near_rules_are_spelled_out) {
    std::vector<std::string> rules;
    for (int i = 0; i < 10; ++i)
        rules.push_back(
            rule(std::string("r").append(std::to_string(i)), R"("users": [1])", R"("cdsp")", R"("signed")", "allow"));
    const Decision decision = good(file_of(rules)).decide({7, {}, ""}, cdsp_signed);
    EXPECT_NE(decision.reason.find("\"r2\""), std::string::npos);
    EXPECT_EQ(decision.reason.find("\"r3\""), std::string::npos);
    EXPECT_TRUE(decision.reason.ends_with(", and others")) << decision.reason;
}

TEST_F(Explain, a_group_that_would_help_is_advised_and_does_help) {
    const Policy policy = good(file_of(
        {rule("g", R"("groups": ["daemon"])", R"("cdsp")", R"("unsigned")", "allow"),
         rule("rest", R"("any": true)", R"("cdsp")", R"("unsigned", "signed")", "deny", R"("priority": -1000)")}));
    const Decision decision = policy.decide({4242, {4242}, ""}, cdsp_unsigned);
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.rule, "rest");
    EXPECT_NE(decision.reason.find("only to members of group daemon"), std::string::npos) << decision.reason;
    EXPECT_EQ(decision.fix, "add the user to group daemon and log in again: usermod -aG daemon \"$(id -nu 4242)\"");
}

TEST_F(Explain, a_group_is_not_advised_when_joining_it_would_not_help) {
    // In group 50 the subject would be denied by a higher rule; uid and group are both wanted; the group is unknown.
    for (const std::string& other : {
             rule("no", R"("groups": [50])", R"("cdsp")", R"("unsigned")", "deny", R"("priority": 9)"),
             rule("no", R"("users": [4242])", R"("cdsp")", R"("unsigned")", "deny", R"("priority": 9)"),
         }) {
        const Policy policy =
            good(file_of({rule("g", R"("groups": [50])", R"("cdsp")", R"("unsigned")", "allow"), other}));
        EXPECT_EQ(policy.decide({4242, {}, ""}, cdsp_unsigned).fix.find("usermod"), std::string::npos);
    }
    Policy policy =
        good(file_of({rule("g", R"("users": [1], "groups": [50])", R"("cdsp")", R"("unsigned")", "allow")}));
    EXPECT_EQ(policy.decide({4242, {}, ""}, cdsp_unsigned).fix.find("usermod"), std::string::npos);
    policy = good(file_of({rule("g", R"("groups": ["no-such-group-x"])", R"("cdsp")", R"("unsigned")", "allow")}));
    const Decision decision = policy.decide({4242, {}, ""}, cdsp_unsigned);
    EXPECT_EQ(decision.fix.find("usermod"), std::string::npos);
    EXPECT_NE(decision.reason.find("group no-such-group-x (which this machine does not have)"), std::string::npos);
}

TEST_F(Explain, the_advised_rule_allows_this_request_and_no_other) {
    add_directory("b");
    const std::vector<std::string> base{
        rule("g", R"("groups": [50], "users": [1])", R"("cdsp")", R"("unsigned")", "allow"),
        rule("no", R"("users": [10, 11])", R"("cdsp", "adsp")", R"("unsigned", "signed")", "deny", R"("priority": 30)"),
        rule("uid-12-cdsp-signed", R"("users": [13])", R"("cdsp")", R"("root")", "allow"), // the name is taken
        rule("rest", R"("any": true)", R"("cdsp", "sdsp")", R"("signed", "sensors")", "deny", R"("priority": -1000)")};
    write("10-base.json", file_of(base)); // before the file advised, so that only a higher priority overrules it
    int advised = 0;
    for (const std::uint32_t uid : {1U, 10U, 12U, 4294967294U})
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds) {
                const Policy before = load().value();
                const Subject subject{uid, {uid, 99}, ""};
                const Decision decision = before.decide(subject, {domain, kind});
                ASSERT_FALSE(decision.allowed);
                if (decision.fix.find("rules") == std::string::npos) continue; // a group, or no such PD on the domain
                ++advised;
                const Policy after = follow(decision.fix);
                EXPECT_EQ(after.rules(), base.size() + 1);
                EXPECT_TRUE(warnings_.empty());
                for (const std::uint32_t other_uid : {0U, 1U, 10U, 11U, 12U, 13U, 4294967294U})
                    for (const Domain other_domain : all_domains)
                        for (const PdKind other_kind : all_pd_kinds) {
                            const Subject other{other_uid, {50, 99}, ""};
                            const bool same = other_uid == uid && other_domain == domain && other_kind == kind;
                            const Object object{other_domain, other_kind};
                            EXPECT_EQ(after.decide(other, object).allowed, same || before.decide(other, object).allowed)
                                << decision.fix << " and uid " << other_uid << to_string(other_domain)
                                << to_string(other_kind);
                        }
                EXPECT_EQ(after.decide(subject, {domain, kind}).grant.attributes & attribute::privileged, 0U);
                std::filesystem::remove_all(directories_[1]);
                std::filesystem::create_directory(directories_[1]);
                ::chmod(directories_[1].c_str(), 0755);
            }
    EXPECT_GT(advised, 100);
}

TEST_F(Explain, the_advised_file_masks_none_that_is_there) {
    const std::string taken = file_of({rule("other", R"("users": [8])", R"("cdsp")", R"("signed")", "allow")});
    write("60-uid-7-cdsp-signed.json", taken);
    add_directory("b");
    const Decision decision = load()->decide({7, {}, ""}, cdsp_signed);
    const Policy after = follow(decision.fix);
    EXPECT_EQ(after.rules(), 2U) << decision.fix;
    EXPECT_TRUE(after.allows({7, {}, ""}, cdsp_signed));
    EXPECT_TRUE(after.allows({8, {}, ""}, cdsp_signed));
}

TEST_F(Explain, nothing_is_above_the_highest_priority_so_the_rule_itself_is_to_be_changed) {
    const Policy policy =
        good(file_of({rule("no", R"("any": true)", R"("cdsp")", R"("signed")", "deny", R"("priority": 1000)")}));
    EXPECT_EQ(policy.decide({7, {}, ""}, cdsp_signed).fix,
              "an administrator would have to change rule \"no\" " + at(2) + ": no priority is above its own");
}

TEST_F(Explain, an_empty_policy_says_so_and_its_advice_works) {
    Result<Policy> policy = load();
    ASSERT_TRUE(policy);
    const Decision decision = policy->decide({7, {}, ""}, cdsp_unsigned);
    EXPECT_EQ(decision.reason, "no rule allows uid 7 an unsigned PD on cdsp: the policy has no rules at all");
    EXPECT_TRUE(follow(decision.fix).decide({7, {}, ""}, cdsp_unsigned).allowed);
}

TEST_F(Explain, explanations_are_one_line) {
    const Policy policy = good(file_of({rule("g", R"("groups": [50])", R"("cdsp")", R"("unsigned")", "allow")}));
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds) {
            const Decision decision = policy.decide({7, {}, ""}, {domain, kind});
            EXPECT_EQ((decision.reason + decision.fix).find('\n'), std::string::npos);
            EXPECT_FALSE(decision.reason.empty());
            EXPECT_FALSE(decision.fix.empty());
        }
}
