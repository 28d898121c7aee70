// Explanations: they name rule, file and line, and what they advise works.
#include "fixture.hpp"

#include "policy/sha256.hpp"

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

TEST_F(Explain, a_denial_under_very_many_rules_looks_at_the_first_and_says_who_looks_at_all) {
    std::vector<std::string> rules;
    for (int i = 0; i < 400; ++i)
        rules.push_back(rule("far-" + std::to_string(i), R"("users": [8])", R"("adsp")", R"("signed")", "allow"));
    rules.push_back(rule("near", R"("users": [8])", R"("cdsp")", R"("unsigned")", "allow"));
    const Policy policy = good(file_of(rules));
    EXPECT_EQ(policy.decide({7, {}, ""}, cdsp_unsigned).reason,
              R"(no rule allows uid 7 an unsigned PD on cdsp; "fastrpcctl policy explain" looks at all 401 rules)");
    const Explanation all = policy.explain({7, {}, ""}, cdsp_unsigned);
    ASSERT_EQ(all.near.size(), 1U);
    EXPECT_EQ(all.near.front().rule, "near");
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

TEST_F(Explain, a_rule_that_asks_says_that_polkit_decides_and_what_would_do_without) {
    const Policy policy =
        good(file_of({rule("g", R"("groups": [50])", R"("cdsp")", R"("signed")", "ask", R"("attributes": ["crc"])"),
                      rule("other", R"("users": [8])", R"("cdsp")", R"("signed")", "ask"),
                      rule("rest", R"("any": true)", R"("cdsp")", R"("signed")", "deny", R"("priority": -1)")}));
    const Decision decision = policy.decide({7, {50}, ""}, cdsp_signed);
    EXPECT_FALSE(decision.allowed);
    EXPECT_TRUE(decision.ask);
    EXPECT_EQ(decision.grant.rule, "g");
    EXPECT_EQ(decision.grant.attributes, attribute::crc);
    EXPECT_EQ(decision.grant.revision, policy.revision());
    EXPECT_EQ(decision.reason,
              "rule \"g\" " + at(2) + " asks polkit whether uid 7 may have a signed PD on cdsp: uid 7 is in group 50");
    EXPECT_FALSE(policy.allows({7, {50}, ""}, cdsp_signed));
    const Decision denied = policy.decide({7, {}, ""}, cdsp_signed);
    EXPECT_FALSE(denied.ask);
    EXPECT_NE(denied.reason.find("rule \"other\" " + at(3) + " asks polkit about it, but only to users 8"),
              std::string::npos)
        << denied.reason;
    EXPECT_TRUE(follow(decision.fix).allows({7, {50}, ""}, cdsp_signed));
}

TEST_F(Explain, a_near_miss_says_which_condition_failed_and_what_it_wants) {
    const std::string hash(64, '1');
    const std::string who = R"("users": [7])", cdsp = R"("cdsp")", kind = R"("signed")";
    const Policy policy = good(file_of({
        rule("domains", who, R"("adsp", "sdsp")", kind, "allow"),
        rule("kinds", who, cdsp, R"("unsigned", "root")", "allow"),
        rule("users", R"("users": [8, "10-19"])", cdsp, kind, "ask"),
        rule("groups", R"("groups": [60, "daemon"])", cdsp, kind, "deny"),
        rule("labels", R"("users": [7], "labels": ["x", "y*"])", cdsp, kind, "allow"),
        rule("nodes", who, cdsp, kind, "allow", R"("nodes": ["accel"])"),
        rule("modules", who, cdsp, kind, "allow",
             R"("modules": ["m*.so", {"name": "n.so", "sha256": ")" + hash + R"("}])"),
        rule("module_sha256", who, cdsp, kind, "allow", R"("module_sha256": [")" + hash + R"("])"),
        rule("limits", who, cdsp, kind, "allow",
             R"("narrows": false, "attributes": ["debug"], "limits": {"mapped_bytes": 1000, "best_priority": 9})"),
        rule("attributes", who, cdsp, kind, "allow", R"("attributes": ["crc"])"),
        rule("far", R"("users": [8])", R"("adsp")", kind, "allow"),
    }));
    const std::vector<std::pair<std::string, std::string>> wanted{
        {"domains", "only on adsp, sdsp"},
        {"kinds", "only for kind unsigned, root"},
        {"users", "only to users 8, 10-19"},
        {"groups", "only to members of group 60 or daemon"},
        {"labels", "only to label x or y*"},
        {"nodes", "only on a node of kind accel"},
        {"modules", "only for modules m*.so or n.so (SHA-256 111111111111...), and the request names none"},
        {"module_sha256", "only for modules with one SHA-256, and the request names none"},
        {"limits", "for no more than 4 lanes, 1000 bytes of memory, 0 bytes of stack and priority 9 or less urgent"},
    };
    const auto check = [&](const Object& object, std::string_view left_out) {
        const Explanation why = policy.explain({7, {}, ""}, object);
        std::size_t line = 1, next = 0;
        for (const auto& [condition, text] : wanted) {
            ++line;
            if (condition == left_out) continue;
            ASSERT_LT(next, why.near.size());
            const NearMiss& near = why.near[next++];
            EXPECT_EQ(near.rule, condition);
            EXPECT_EQ(near.condition, condition);
            EXPECT_EQ(near.text, text);
            EXPECT_EQ(near.file, directories_[0] + "/p.json");
            EXPECT_EQ(near.line, line);
            EXPECT_EQ(near.column, 2U);
        }
        EXPECT_EQ(why.near.size(), next + (object.attributes != 0 ? 1 : 0));
    };
    // Each of these rules gives no attributes but one, and each but one is large enough.
    Object large = cdsp_signed;
    large.memory = 1001;
    check(large, "");
    EXPECT_EQ(policy.explain({7, {}, ""}, large).decision.rule, "attributes");
    // What asks for attributes misses all rules by them that miss anything else already, so only one is near.
    Object asks = cdsp_signed;
    asks.attributes = attribute::ptrace;
    const Explanation why = policy.explain({7, {}, ""}, asks);
    ASSERT_EQ(why.near_count, 3U);
    EXPECT_EQ(why.near[0].condition, "groups"); // which denies, whatever is asked for
    EXPECT_EQ(why.near[0].effect, policy::Effect::deny);
    EXPECT_EQ(why.near[1].text, "only with attributes debug");
    EXPECT_EQ(why.near[2].text, "only with attributes crc");
    EXPECT_EQ(why.decision.reason.substr(0, 78),
              "no rule allows uid 7 a signed PD on cdsp with attributes ptrace; nearest: rule");
}

TEST_F(Explain, a_rule_that_gives_fewer_directories_than_are_brought_is_a_near_miss_that_can_be_mended) {
    const Policy policy = good(file_of({
        rule("none", R"("users": [7])", R"("cdsp")", R"("signed")", "allow", R"("limits": {"directories": 0})"),
        rule("one", R"("users": [7])", R"("cdsp")", R"("signed")", "allow"),
        rule("two", R"("users": [7])", R"("cdsp")", R"("signed")", "ask", R"("limits": {"directories": 2})"),
        rule("four", R"("users": [7])", R"("adsp")", R"("signed")", "allow", R"("limits": {"directories": 4})"),
    }));
    Object object = cdsp_signed;
    object.directories = 3;
    const Explanation why = policy.explain({7, {}, ""}, object);
    EXPECT_EQ(why.decision.reason,
              "no rule allows uid 7 a signed PD on cdsp with 3 directories of the client's; nearest: rule \"none\" " +
                  at(2) +
                  " allows it, but only with no directory of the client's (its limit \"directories\"), rule "
                  "\"one\" " +
                  at(3) +
                  " allows it, but only with one directory of the client's (its limit "
                  "\"directories\"), rule \"two\" " +
                  at(4) +
                  " asks polkit about it, but only with up to 2 "
                  "directories of the client's (its limit \"directories\"), and others");
    ASSERT_EQ(why.near.size(), 4U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(why.near[i].condition, "directories");
    EXPECT_EQ(why.near[3].condition, "domains");
    EXPECT_NE(why.change_json.find(R"("limits": {"directories": 3})"), std::string::npos) << why.change_json;
    const Policy mended = follow(why.decision.fix);
    EXPECT_TRUE(mended.allows({7, {}, ""}, object));
    object.directories = 4;
    EXPECT_FALSE(mended.allows({7, {}, ""}, object)) << "no more than was asked for";
}

TEST_F(Explain, sixteen_near_misses_are_told_and_the_others_counted) {
    std::vector<std::string> rules;
    for (int i = 0; i < 40; ++i)
        rules.push_back(
            rule(std::string("r").append(std::to_string(i)), R"("users": [1])", R"("cdsp")", R"("signed")", "allow"));
    const Explanation why = good(file_of(rules)).explain({7, {}, ""}, cdsp_signed);
    EXPECT_EQ(why.near.size(), 16U);
    EXPECT_EQ(why.near_count, 40U);
    EXPECT_EQ(why.near[15].rule, "r15");
}

TEST_F(Explain, the_change_holds_all_that_was_asked_for) {
    const std::vector<ModuleRequest> modules{{"a.so", std::nullopt},
                                             {"b.so", policy::sha256_from(std::string(64, 'B'))}};
    const Object object{.domain = Domain::cdsp,
                        .kind = PdKind::signed_user,
                        .attributes = attribute::crc | attribute::debug,
                        .modules = modules,
                        .thread_priority = 100,
                        .thread_stack = 1U << 30,
                        .memory = 1U << 28,
                        .lanes = 33,
                        .directories = 8};
    const Explanation why = Policy().explain({7, {50}, "u:r:t:s0-c1,c2"}, object);
    EXPECT_EQ(why.change_file, "/etc/fastrpcd/policy.d/60-uid-7-cdsp-signed.json");
    EXPECT_EQ(why.change_json,
              R"({"rules": [{"name": "uid-7-cdsp-signed", "priority": -1000, "subject": {"users": [7], "labels": )"
              R"(["u:r:t:s0-c1,c2"]}, "domains": ["cdsp"], "kinds": ["signed"], "modules": ["a.so", {"name": "b.so", )"
              R"("sha256": ")" +
                  std::string(64, 'b') +
                  R"("}], "effect": "allow", "attributes": ["debug", "crc"], "limits": {"lanes": 33, "mapped_bytes": )"
                  R"(268435456, "best_priority": 100, "stack_bytes": 16777216, "directories": 8}}]})");
    EXPECT_EQ(why.decision.fix, "an administrator can add " + why.change_file + " with " + why.change_json);
    const Grant grant = good(why.change_json).decide({7, {}, "u:r:t:s0-c1,c2"}, object).grant;
    EXPECT_EQ(grant.limits.lanes, 33U);
    EXPECT_EQ(grant.attributes, attribute::crc | attribute::debug);
    EXPECT_EQ(grant.modules, modules);
}

TEST_F(Explain, what_no_rule_can_say_is_not_advised) {
    const auto fix_of = [](const Subject& subject, Object object, const std::vector<ModuleRequest>& modules = {}) {
        object.modules = modules;
        const Explanation why = Policy().explain(subject, object);
        EXPECT_EQ(why.change_file + why.change_json, "");
        return why.decision.fix;
    };
    EXPECT_EQ(fix_of({4294967295U, {}, ""}, cdsp_signed), "no rule can name the uid 4294967295, which is no user's");
    EXPECT_EQ(fix_of({7, {}, "a*b"}, cdsp_signed), "no rule can name the label of the caller");
    EXPECT_EQ(fix_of({7, {}, "a\nb"}, cdsp_signed), "no rule can name the label of the caller");
    for (const char* name : {"a*.so", "/a.so", "", "a\"b"})
        EXPECT_EQ(fix_of({7, {}, ""}, cdsp_signed, {{name, std::nullopt}}),
                  "no rule can name one of the modules; ask for modules by the names of their files");
    Object many = cdsp_signed;
    many.directories = 9;
    EXPECT_EQ(fix_of({7, {}, ""}, many), "no rule can give more than 8 directories; bring fewer");
    Object object = cdsp_signed;
    object.attributes = attribute::crc | 0x40000000;
    EXPECT_EQ(fix_of({7, {}, ""}, object), "no rule can give attributes 0x40000000; ask without them");
}
