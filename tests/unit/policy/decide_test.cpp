// Who gets what: the decisions themselves.
#include "fixture.hpp"

#include "policy/rule.hpp"
#include "tests/unit/client/allocations.hpp"

#include <grp.h>
#include <pwd.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

using Decide = PolicyFiles;

constexpr Object cdsp_unsigned{Domain::cdsp, PdKind::unsigned_user};
constexpr Object cdsp_signed{Domain::cdsp, PdKind::signed_user};
constexpr Object adsp_signed{Domain::adsp, PdKind::signed_user};
constexpr Object gdsp_unsigned{Domain::gdsp0, PdKind::unsigned_user};

} // namespace

TEST(Policy, without_rules_everything_is_denied) {
    const Policy policy;
    EXPECT_EQ(policy.rules(), 0U);
    EXPECT_EQ(policy.revision(), 0U);
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds) {
            const Decision decision = policy.decide({0, {0}, ""}, {domain, kind});
            EXPECT_FALSE(decision.allowed);
            EXPECT_EQ(decision.grant, Grant{});
            EXPECT_FALSE(decision.reason.empty());
            EXPECT_FALSE(decision.fix.empty());
        }
}

TEST_F(Decide, a_table_of_subjects_and_objects) {
    const Policy policy = good(file_of({
        rule("alpha", R"("users": [1000, "2000-2002"])", R"("cdsp")", R"("unsigned")", "allow"),
        rule("beta", R"("groups": [50])", R"("unsigned-capable")", R"("unsigned", "signed")", "allow"),
        rule("gamma", R"("users": [3000], "groups": [60])", R"("adsp")", R"("signed")", "allow"),
        rule("delta", R"("users": [1001])", R"("cdsp", "gdsp0")", R"("unsigned")", "deny", R"("priority": 5)"),
        rule("omega", R"("users": [0])", R"("adsp", "cdsp")", R"("signed", "root")", "allow", R"("priority": -5)"),
    }));
    struct Row {
        std::uint32_t uid;
        std::vector<std::uint32_t> gids;
        Object object;
        bool allowed;
        std::string rule;
    };
    const std::vector<Row> table{
        {1000, {}, cdsp_unsigned, true, "alpha"},
        {1000, {50}, cdsp_unsigned, true, "alpha"}, // file order, both match
        {1000, {}, cdsp_signed, false, ""},
        {1000, {50}, cdsp_signed, true, "beta"},
        {1000, {}, gdsp_unsigned, false, ""},
        {1000, {50}, gdsp_unsigned, true, "beta"},
        {1001, {}, cdsp_unsigned, false, "delta"},
        {1001, {50}, cdsp_unsigned, false, "delta"}, // the deny has the higher priority
        {1001, {50}, gdsp_unsigned, false, "delta"},
        {1001, {50}, cdsp_signed, true, "beta"},
        {1999, {}, cdsp_unsigned, false, ""},
        {2000, {}, cdsp_unsigned, true, "alpha"},
        {2001, {}, cdsp_unsigned, true, "alpha"},
        {2002, {}, cdsp_unsigned, true, "alpha"},
        {2003, {}, cdsp_unsigned, false, ""},
        {3000, {}, adsp_signed, false, ""}, // user and group must both match
        {3001, {60}, adsp_signed, false, ""},
        {3000, {60}, adsp_signed, true, "gamma"},
        {3000, {7, 60, 8}, adsp_signed, true, "gamma"},
        {3000, {60}, cdsp_signed, false, ""},
        {50, {}, cdsp_signed, false, ""}, // a uid is no gid
        {7, {1000}, cdsp_unsigned, false, ""},
        {0, {0}, cdsp_unsigned, false, ""}, // root is nobody special
        {0, {0}, cdsp_signed, true, "omega"},
        {0, {50}, cdsp_signed, true, "beta"},
        {0, {0}, {Domain::adsp, PdKind::root}, true, "omega"},
        {0, {0}, {Domain::adsp, PdKind::audio}, false, ""},
        {0, {0}, {Domain::sdsp, PdKind::root}, false, ""},
        {4294967295U, {4294967295U}, cdsp_unsigned, false, ""},
    };
    for (const Row& row : table) {
        const Decision decision = policy.decide({row.uid, row.gids, ""}, row.object);
        SCOPED_TRACE(testing::Message() << "uid " << row.uid << " " << to_string(row.object.kind) << " on "
                                        << to_string(row.object.domain) << ": " << decision.reason);
        EXPECT_EQ(decision.allowed, row.allowed);
        EXPECT_EQ(decision.rule, row.rule);
        EXPECT_EQ(decision.grant.rule, row.allowed ? row.rule : "");
        EXPECT_EQ(decision.fix.empty(), row.allowed);
    }
}

TEST_F(Decide, an_unsigned_pd_is_denied_where_the_domain_has_none_whatever_the_rules_say) {
    const Policy policy = good(
        file_of({rule("everything", R"("any": true)", R"("adsp", "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1")",
                      R"("unsigned", "system-unsigned", "signed")", "allow")}));
    for (const Domain domain : all_domains)
        for (const PdKind kind : {PdKind::unsigned_user, PdKind::system_unsigned}) {
            const Decision decision = policy.decide({1, {1}, ""}, {domain, kind});
            EXPECT_EQ(decision.allowed, has_unsigned(domain)) << to_string(domain);
            if (decision.allowed) continue;
            EXPECT_NE(decision.reason.find("has no unsigned PDs"), std::string::npos) << decision.reason;
            EXPECT_NE(decision.fix.find("cdsp, cdsp1, gdsp0, gdsp1"), std::string::npos) << decision.fix;
        }
    EXPECT_TRUE(policy.decide({1, {1}, ""}, {Domain::adsp, PdKind::signed_user}).allowed);
}

TEST_F(Decide, a_grant_holds_what_its_rule_says) {
    const Policy policy = good(file_of({
        rule(
            "full", R"("users": [1])", R"("cdsp")", R"("unsigned", "system-unsigned", "signed")", "allow",
            R"("trusted": true, "attributes": ["debug", "privileged"], "limits": {"sessions_per_uid": 2, "lanes": 3, )"
            R"("mapped_bytes": 5000000000, "buffers": 7, "deadline_ms": 1234, "lanes_per_uid": 5, )"
            R"("mapped_bytes_per_uid": 6000000000, "fds_per_uid": 900, "queued_per_uid": 3, "opens_per_minute": 17, )"
            R"("queue_ms": 250, "reclaim_idle_ms": 1500, "best_priority": 99, "stack_bytes": 65536, "directories": 5})"),
        rule("bare", R"("users": [2])", R"("cdsp")", R"("unsigned", "signed")", "allow"),
        rule("partial", R"("users": [3])", R"("cdsp")", R"("signed")", "allow", R"("limits": {"lanes": 9})"),
    }));
    const Grant full = policy.decide({1, {}, ""}, cdsp_unsigned).grant;
    EXPECT_EQ(full.rule, "full");
    EXPECT_EQ(full.file, directories_[0] + "/p.json");
    EXPECT_EQ(full.line, 2U);
    EXPECT_TRUE(full.trusted);
    EXPECT_EQ(full.limits, (Limits{2, 3, 5000000000U, 7, 1234, 5, 6000000000U, 900, 3, 17, 250, 1500, 99, 65536, 5}));
    EXPECT_EQ(full.attributes, attribute::unsigned_module | attribute::debug | attribute::privileged);
    EXPECT_EQ(policy.decide({1, {}, ""}, {Domain::cdsp, PdKind::system_unsigned}).grant.attributes,
              attribute::unsigned_module | attribute::system_unsigned_pd | attribute::debug | attribute::privileged);
    EXPECT_EQ(policy.decide({1, {}, ""}, cdsp_signed).grant.attributes, attribute::debug | attribute::privileged);

    const Grant bare = policy.decide({2, {}, ""}, cdsp_unsigned).grant;
    EXPECT_EQ(bare.attributes, attribute::unsigned_module);
    EXPECT_FALSE(bare.trusted);
    EXPECT_EQ(bare.limits, policy::default_limits);
    EXPECT_EQ(policy.decide({2, {}, ""}, cdsp_signed).grant.attributes, 0U);

    Limits expected = policy::default_limits;
    expected.lanes = 9;
    EXPECT_EQ(policy.decide({3, {}, ""}, cdsp_signed).grant.limits, expected);
}

TEST_F(Decide, a_sum_per_uid_holds_at_least_one_session) {
    const auto limits_of = [&](const std::string& limits) {
        const Policy policy = good(file_of(
            {rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "allow", R"("limits": {)" + limits + "}")}));
        return policy.decide({1, {}, ""}, cdsp_signed).grant.limits;
    };
    EXPECT_EQ(limits_of(R"("lanes": 200)").lanes_per_uid, 200U);
    EXPECT_EQ(limits_of(R"("mapped_bytes": 2147483648)").mapped_bytes_per_uid, 1ULL << 31);
    EXPECT_EQ(limits_of(R"("buffers": 65536)").fds_per_uid,
              65536U + 4 * host_lane_fds + 1 + max_module_files + host_fds);
    EXPECT_EQ(limits_of(R"("buffers": 65536, "directories": 8)").fds_per_uid,
              65536U + 4 * host_lane_fds + 8 + max_module_files + host_fds);
    EXPECT_EQ(limits_of(R"("lanes_per_uid": 4)").lanes_per_uid, 4U);
    for (const auto& [limits, name] : {std::pair(R"("lanes_per_uid": 3)", "lanes_per_uid"),
                                       std::pair(R"("mapped_bytes_per_uid": 1)", "mapped_bytes_per_uid"),
                                       std::pair(R"("fds_per_uid": 50)", "fds_per_uid")}) {
        const std::string error = error_of(file_of({rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "allow",
                                                         R"("limits": {)" + std::string(limits) + "}")}));
        EXPECT_NE(error.find(name), std::string::npos) << error;
        EXPECT_NE(error.find("one session of this rule takes"), std::string::npos) << error;
    }
}

TEST_F(Decide, every_attribute_name_gives_its_own_bit) {
    const std::vector<std::pair<std::string, std::uint32_t>> names{
        {"debug", 1}, {"ptrace", 2}, {"crc", 4}, {"adaptive-qos", 16}, {"system-process", 32}, {"privileged", 64}};
    for (const auto& [name, bit] : names) {
        const Policy policy = good(file_of({rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "allow",
                                                 R"("attributes": [")" + name + R"("])")}));
        EXPECT_EQ(policy.decide({1, {}, ""}, cdsp_signed).grant.attributes, bit) << name;
    }
}

TEST_F(Decide, names_stand_for_the_numbers_of_this_machine) {
    const passwd* daemon = ::getpwnam("daemon");
    ASSERT_NE(daemon, nullptr);
    const std::uint32_t uid = daemon->pw_uid;
    const ::group* group = ::getgrnam("daemon");
    ASSERT_NE(group, nullptr);
    const std::uint32_t gid = group->gr_gid;
    const Policy policy = good(file_of({rule("u", R"("users": ["daemon"])", R"("cdsp")", R"("unsigned")", "allow"),
                                        rule("g", R"("groups": ["daemon"])", R"("cdsp")", R"("signed")", "allow")}));
    EXPECT_TRUE(policy.decide({uid, {}, ""}, cdsp_unsigned).allowed);
    EXPECT_FALSE(policy.decide({uid + 1, {gid}, ""}, cdsp_unsigned).allowed);
    EXPECT_TRUE(policy.decide({uid + 1, {gid}, ""}, cdsp_signed).allowed);
    EXPECT_FALSE(policy.decide({uid, {gid + 1}, ""}, cdsp_signed).allowed);
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(Decide, an_unknown_user_or_group_is_a_warning_and_matches_nobody) {
    const Policy policy =
        good(file_of({rule("u", R"("users": ["no-such-user-x"])", R"("cdsp")", R"("unsigned")", "allow"),
                      rule("g", R"("groups": ["no-such-group-x"])", R"("cdsp")", R"("signed")", "allow"),
                      rule("both", R"("users": [5, "no-such-user-x"])", R"("cdsp1")", R"("signed")", "allow")}));
    const std::string file = directories_[0] + "/p.json";
    ASSERT_EQ(warnings_.size(), 3U);
    EXPECT_EQ(warnings_[0], file + R"(:2:37: this machine has no user "no-such-user-x"; rule "u" does not match it)");
    EXPECT_EQ(warnings_[1], file + R"(:3:38: this machine has no group "no-such-group-x"; rule "g" does not match it)");
    for (const std::uint32_t uid : {0U, 5U, 1000U, 4294967294U, 4294967295U}) {
        EXPECT_FALSE(policy.decide({uid, {0, uid}, ""}, cdsp_unsigned).allowed);
        EXPECT_FALSE(policy.decide({uid, {0, uid}, ""}, cdsp_signed).allowed);
        EXPECT_EQ(policy.decide({uid, {}, ""}, {Domain::cdsp1, PdKind::signed_user}).allowed, uid == 5);
    }
}

TEST_F(Decide, a_higher_priority_comes_first_and_equal_ones_stand_in_file_order) {
    const auto one = [](const std::string& name, const std::string& effect, int priority) {
        return file_of({rule(name, R"("any": true)", R"("cdsp")", R"("signed")", effect,
                             "\"priority\": " + std::to_string(priority))});
    };
    write("20-b.json", one("b", "deny", 0));
    write("10-a.json", one("a", "allow", 0));
    EXPECT_EQ(load()->decide({1, {}, ""}, cdsp_signed).rule, "a");
    write("05-c.json", one("c", "deny", -1));
    EXPECT_EQ(load()->decide({1, {}, ""}, cdsp_signed).rule, "a");
    write("30-d.json", one("d", "deny", 1));
    EXPECT_EQ(load()->decide({1, {}, ""}, cdsp_signed).rule, "d");
    // Order is by file name over all directories, not by directory.
    add_directory("b");
    write("00-e.json", one("e", "allow", 1), 1);
    EXPECT_EQ(load()->decide({1, {}, ""}, cdsp_signed).rule, "e");
    EXPECT_EQ(load()->rules(), 5U);
}

TEST_F(Decide, whether_a_request_is_allowed_is_said_without_allocation) {
    std::vector<std::string> rules;
    for (int i = 0; i < 200; ++i)
        rules.push_back(rule(std::string("r").append(std::to_string(i)),
                             "\"users\": [" + std::to_string(i) + "], \"groups\": [" + std::to_string(i % 7) + "]",
                             R"("cdsp")", R"("signed", "unsigned")", i % 3 == 0 ? "deny" : "allow"));
    const Policy policy = good(file_of(rules));
    unsigned allowed = 0;
    const std::size_t before = allocations();
    Subject subject{0, {}, ""};
    subject.gids.reserve(7);
    const std::size_t reserved = allocations();
    for (std::uint32_t gid = 0; gid < 7; ++gid) subject.gids.push_back(gid);
    for (subject.uid = 0; subject.uid < 250; ++subject.uid)
        allowed += policy.allows(subject, cdsp_signed) + policy.allows(subject, adsp_signed);
    EXPECT_EQ(allocations(), reserved);
    EXPECT_GT(reserved, before); // it does count
    EXPECT_EQ(allowed, 133U);
}

TEST_F(Decide, numbers_outside_the_enums_are_denied) {
    const Policy policy = good(file_of({rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "allow")}));
    for (const Object object :
         {Object{static_cast<Domain>(200), PdKind::signed_user}, Object{static_cast<Domain>(7), PdKind::signed_user},
          Object{static_cast<Domain>(35), PdKind::signed_user}, // cdsp + 32
          Object{Domain::cdsp, static_cast<PdKind>(0)}, Object{Domain::cdsp, static_cast<PdKind>(7)},
          Object{Domain::cdsp, static_cast<PdKind>(34)}, Object{Domain::cdsp, static_cast<PdKind>(200)}}) {
        const Decision decision = policy.decide({1, {}, ""}, object);
        EXPECT_FALSE(decision.allowed);
        EXPECT_EQ(decision.reason, "the request names a domain or a kind that does not exist");
        EXPECT_FALSE(decision.fix.empty());
    }
}

TEST_F(Decide, a_copy_decides_like_its_original_after_a_reload) {
    const Policy old = good(file_of({rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "allow")}));
    const Policy copy = old;
    const Policy fresh = good(file_of({}));
    EXPECT_TRUE(copy.decide({1, {}, ""}, cdsp_signed).allowed);
    EXPECT_FALSE(fresh.decide({1, {}, ""}, cdsp_signed).allowed);
    EXPECT_EQ(copy.revision(), old.revision());
    EXPECT_NE(copy.revision(), fresh.revision());
}
