// What we ship: the policies decide as promised, and the schema describes exactly what the loader takes.
#include "fixture.hpp"

#include "policy/check.hpp"
#include "policy/rule.hpp"
#include "policy/words.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

using namespace fastrpc;
using namespace fastrpc::test;
using nlohmann::json;

namespace {

std::string shipped(const std::string& name) {
    std::ifstream file(std::string(CONFIG_DIRECTORY) + "/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file || text.str().empty()) throw std::runtime_error("cannot read " + name);
    return text.str();
}

// The shipped file with a gid in place of the group's name, which the machine of the test may not have.
std::string with_gid(std::string text, const std::string& gid) {
    const std::string name = "[\"fastrpc\"]";
    return text.replace(text.find(name), name.size(), "[" + gid + "]");
}

template<class Names, class Get>
std::set<std::string> names_of(const Names& names, const Get& get) {
    std::set<std::string> all;
    for (const auto& name : names) all.emplace(get(name));
    return all;
}

std::set<std::string> keys_of(const json& object) {
    std::set<std::string> all;
    for (const auto& [key, value] : object.at("properties").items()) all.insert(key);
    return all;
}

const auto self = [](const auto& word) { return std::string(word); };

using Config = PolicyFiles;

} // namespace

TEST_F(Config, the_default_lets_group_fastrpc_open_unsigned_sessions_and_nothing_else) {
    const Policy policy = good(with_gid(shipped("policy.d/50-default.json"), "4711"));
    EXPECT_TRUE(warnings_.empty());
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds) {
            const Decision member = policy.decide({1000, {1000, 4711}, ""}, {domain, kind});
            EXPECT_EQ(member.allowed, kind == PdKind::unsigned_user && has_unsigned(domain)) << member.reason;
            if (member.allowed) {
                EXPECT_EQ(member.grant.attributes, attribute::unsigned_module);
                EXPECT_EQ(member.grant.limits,
                          (Limits{4, 16, 256U << 20, 256, 60000, 64, 1U << 30, 4096, 8, 600, 30000, 0, 0, 0, 8}));
            }
            const Decision other = policy.decide({1000, {1000}, ""}, {domain, kind});
            EXPECT_FALSE(other.allowed);
            EXPECT_FALSE(policy.decide({0, {0}, ""}, {domain, kind}).allowed);
        }
    const Decision refused = policy.decide({1000, {1000, 4711}, ""}, {Domain::cdsp, PdKind::signed_user});
    EXPECT_EQ(refused.rule, "everything-else");
    EXPECT_GT(refused.line, 0U);
    const Decision outsider = policy.decide({1000, {1000}, ""}, {Domain::cdsp, PdKind::unsigned_user});
    EXPECT_NE(outsider.fix.find("usermod -aG 4711"), std::string::npos) << outsider.fix;
}

TEST_F(Config, the_default_passes_the_table_that_is_shipped_with_it) {
    const Policy policy = good(with_gid(shipped("policy.d/50-default.json"), "4711"));
    std::string table = shipped("policy-tests/50-default.json");
    for (auto at = table.find("\"fastrpc\""); at != std::string::npos; at = table.find("\"fastrpc\""))
        table.replace(at, 9, "4711");
    const auto outcomes = policy::run_tests(policy, "50-default.json", table);
    ASSERT_TRUE(outcomes) << outcomes.error().text;
    EXPECT_GE(outcomes->size(), 15U);
    for (const policy::TestOutcome& outcome : *outcomes)
        EXPECT_TRUE(outcome.passed) << outcome.line << ": " << outcome.request << ": " << outcome.decision.reason;
}

TEST_F(Config, the_examples_load_without_a_warning_and_pass_their_table) {
    const std::string examples = std::string(CONFIG_DIRECTORY) + "/examples";
    int loaded = 0;
    for (const auto& entry : std::filesystem::directory_iterator(examples)) {
        const std::string name = entry.path().filename();
        if (name == "tests.json") continue;
        write(name, shipped("examples/" + name));
        ++loaded;
    }
    EXPECT_EQ(loaded, 5);
    const Result<Policy> policy = load();
    ASSERT_TRUE(policy) << policy.error().text;
    EXPECT_EQ(warnings_, std::vector<std::string>());
    EXPECT_TRUE(policy->ends_denied_sessions());
    std::set<std::string> decided;
    const auto outcomes = policy::run_test_file(*policy, examples + "/tests.json");
    ASSERT_TRUE(outcomes) << outcomes.error().text;
    for (const policy::TestOutcome& outcome : *outcomes) {
        EXPECT_TRUE(outcome.passed) << outcome.line << ": " << outcome.request << ": " << outcome.decision.reason;
        decided.insert(outcome.decision.rule);
    }
    for (const RuleInfo& rule : policy->list()) EXPECT_TRUE(decided.contains(rule.name)) << rule.name;
}

TEST_F(Config, a_rule_of_usual_priority_comes_before_the_default_denial) {
    write("50-default.json", shipped("policy.d/50-default.json"));
    write("60-site.json", file_of({rule("site", R"("users": [1000])", R"("adsp")", R"("signed")", "allow")}));
    Result<Policy> policy = load();
    ASSERT_TRUE(policy) << policy.error().text;
    EXPECT_TRUE(policy->decide({1000, {}, ""}, {Domain::adsp, PdKind::signed_user}).allowed);
    EXPECT_FALSE(policy->decide({1001, {}, ""}, {Domain::adsp, PdKind::signed_user}).allowed);
}

TEST_F(Config, the_demo_lets_everybody_open_unsigned_sessions_and_names_the_rule_that_refuses_signed_ones) {
    const Policy policy = good(shipped("demo/policy.d/50-demo.json"));
    EXPECT_TRUE(warnings_.empty());
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds) {
            const Decision decision = policy.decide({65534, {65534}, ""}, {domain, kind});
            EXPECT_EQ(decision.allowed, kind == PdKind::unsigned_user && has_unsigned(domain)) << decision.reason;
        }
    const Decision refused = policy.decide({65534, {65534}, ""}, {Domain::cdsp, PdKind::signed_user});
    EXPECT_EQ(refused.rule, "demo-everything-else");
    EXPECT_EQ(refused.file, directories_[0] + "/p.json");
    EXPECT_NE(refused.reason.find("only for kind unsigned"), std::string::npos) << refused.reason;
    EXPECT_NE(refused.fix.find("\"kinds\": [\"signed\"]"), std::string::npos) << refused.fix;
}

TEST_F(Config, the_schema_has_exactly_the_keys_that_the_loader_knows) {
    const json schema = json::parse(shipped("schema/policy.schema.json"));
    const json& defs = schema.at("$defs");
    EXPECT_EQ(keys_of(schema), names_of(policy::file_keys, self));
    EXPECT_EQ(keys_of(defs.at("rule")), names_of(policy::rule_keys, self));
    EXPECT_EQ(keys_of(defs.at("subject")), names_of(policy::subject_keys, self));
    EXPECT_EQ(keys_of(defs.at("module").at("anyOf").at(1)), names_of(policy::module_keys, self));
    EXPECT_EQ(keys_of(defs.at("limits")), names_of(policy::limit_names, [](const auto& limit) { return limit.name; }));
    for (const json& object : {schema, defs.at("rule"), defs.at("subject"), defs.at("limits")})
        EXPECT_EQ(object.at("additionalProperties"), false);
}

TEST_F(Config, the_schema_has_exactly_the_words_that_the_loader_knows) {
    const json schema = json::parse(shipped("schema/policy.schema.json"));
    const json& keys = schema.at("$defs").at("rule").at("properties");
    const auto words = [](const json& list) { return list.get<std::set<std::string>>(); };
    EXPECT_EQ(words(keys.at("effect").at("enum")), names_of(policy::effects, self));
    std::set<std::string> domains = names_of(all_domains, [](Domain d) { return to_string(d); });
    domains.emplace(policy::unsigned_capable);
    EXPECT_EQ(words(keys.at("domains").at("items").at("enum")), domains);
    EXPECT_EQ(words(keys.at("kinds").at("items").at("enum")),
              names_of(all_pd_kinds, [](PdKind k) { return to_string(k); }));
    EXPECT_EQ(words(keys.at("attributes").at("items").at("enum")),
              names_of(policy::attribute_names, [](const auto& name) { return name.name; }));
    EXPECT_EQ(words(keys.at("nodes").at("items").at("enum")), names_of(policy::nodes, self));
    EXPECT_EQ(words(keys.at("audit").at("enum")), names_of(policy::audits, self));
    EXPECT_EQ(words(schema.at("properties").at("running_sessions").at("enum")),
              names_of(policy::running_sessions, self));
    EXPECT_EQ(keys.at("priority").at("minimum"), policy::least_priority);
    EXPECT_EQ(keys.at("priority").at("maximum"), policy::most_priority);
}

TEST_F(Config, the_schema_of_tables_has_exactly_the_keys_and_words_that_their_reader_knows) {
    const json schema = json::parse(shipped("schema/policy-tests.schema.json"));
    const json& request = schema.at("$defs").at("request");
    EXPECT_EQ(keys_of(schema), names_of(policy::test_file_keys, self));
    EXPECT_EQ(keys_of(request), names_of(policy::test_keys, self));
    const json& keys = request.at("properties");
    EXPECT_EQ(keys_of(keys.at("modules").at("items").at("anyOf").at(1)), names_of(policy::module_keys, self));
    const auto words = [](const json& list) { return list.get<std::set<std::string>>(); };
    EXPECT_EQ(words(keys.at("expect").at("enum")), names_of(policy::effects, self));
    EXPECT_EQ(words(keys.at("node").at("enum")), names_of(policy::nodes, self));
    EXPECT_EQ(words(keys.at("domain").at("enum")), names_of(all_domains, [](Domain d) { return to_string(d); }));
    EXPECT_EQ(words(keys.at("pd").at("enum")), names_of(all_pd_kinds, [](PdKind k) { return to_string(k); }));
    EXPECT_EQ(words(keys.at("attributes").at("items").at("enum")),
              names_of(policy::attribute_names, [](const auto& name) { return name.name; }));
}

TEST_F(Config, the_schema_has_the_bounds_and_defaults_of_the_limits) {
    const json schema = json::parse(shipped("schema/policy.schema.json"));
    for (const policy::LimitName& limit : policy::limit_names) {
        const json& entry = schema.at("$defs").at("limits").at("properties").at(std::string(limit.name));
        EXPECT_EQ(entry.at("minimum"), limit.least) << limit.name;
        EXPECT_EQ(entry.at("maximum"), limit.most) << limit.name;
        Limits changed = policy::default_limits;
        limit.set(changed, entry.at("default").get<std::uint64_t>());
        EXPECT_EQ(changed, policy::default_limits) << limit.name;
    }
}

TEST_F(Config, what_the_schema_requires_the_loader_requires) {
    const json schema = json::parse(shipped("schema/policy.schema.json"));
    const json rule = json::parse(test::rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "deny"));
    for (const std::string_view key : policy::rule_keys) {
        if (!rule.contains(key)) continue;
        json less = rule;
        less.erase(std::string(key));
        const json& required = schema.at("$defs").at("rule").at("required");
        EXPECT_EQ(error_of(json{{"rules", {less}}}.dump()).empty(), std::ranges::find(required, key) == required.end())
            << key;
    }
}

TEST_F(Config, the_virtual_soc_of_the_demo_has_adsp_and_cdsp) {
    const json soc = json::parse(shipped("vdsp/soc-demo.json"));
    std::vector<std::string> names;
    for (const json& domain : soc.at("domains")) {
        names.push_back(domain.at("name"));
        EXPECT_TRUE(domain_from(names.back())) << names.back();
        EXPECT_GE(domain.at("slots"), 1);
        EXPECT_LE(domain.at("slots"), 14);
    }
    EXPECT_EQ(names, (std::vector<std::string>{"adsp", "cdsp"}));
    EXPECT_EQ(soc.at("kernel_timeout_ms"), 10000);
}
