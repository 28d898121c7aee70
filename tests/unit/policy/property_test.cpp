// Random rule sets against a second, plain reading of the same rules: nothing ever widens a decision.
#include "fixture.hpp"

#include "policy/rule.hpp"

#include <algorithm>
#include <optional>
#include <random>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

struct Model {
    std::string name;
    int priority = 0;
    bool allow = false;
    bool any = false;
    std::vector<std::uint32_t> users;
    std::vector<std::uint32_t> groups;
    std::vector<Domain> domains;
    std::vector<PdKind> kinds;
    std::vector<std::pair<std::string, std::uint32_t>> attributes;
    std::optional<std::uint32_t> lanes;
};

template<class T>
bool in(const std::vector<T>& list, const T& value) {
    return std::ranges::find(list, value) != list.end();
}

bool matches(const Model& m, const Subject& s, const Object& o) {
    if (!in(m.domains, o.domain) || !in(m.kinds, o.kind)) return false;
    if (m.any) return true;
    if (!m.users.empty() && !in(m.users, s.uid)) return false;
    return m.groups.empty() || std::ranges::any_of(s.gids, [&](std::uint32_t gid) { return in(m.groups, gid); });
}

const Model* decide(const std::vector<Model>& models, const Subject& s, const Object& o) {
    if ((o.kind == PdKind::unsigned_user || o.kind == PdKind::system_unsigned) && !has_unsigned(o.domain))
        return nullptr;
    const Model* best = nullptr;
    for (const Model& m : models)
        if (matches(m, s, o) && (best == nullptr || m.priority > best->priority)) best = &m;
    return best;
}

std::string number_list(const std::vector<std::uint32_t>& numbers) {
    std::string text;
    for (const std::uint32_t n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
    return "[" + text + "]";
}

std::string json(const Model& m) {
    std::string subject = m.any ? R"("any": true)" : "";
    if (!m.users.empty()) subject += R"("users": )" + number_list(m.users);
    if (!m.groups.empty()) subject += (subject.empty() ? "" : ", ") + (R"("groups": )" + number_list(m.groups));
    std::string domains;
    std::string kinds;
    std::string attributes;
    for (const Domain d : m.domains) domains += (domains.empty() ? "\"" : ", \"") + std::string(to_string(d)) + "\"";
    for (const PdKind k : m.kinds) kinds += (kinds.empty() ? "\"" : ", \"") + std::string(to_string(k)) + "\"";
    for (const auto& [name, bit] : m.attributes) attributes += (attributes.empty() ? "\"" : ", \"") + name + "\"";
    std::string more = R"("priority": )" + std::to_string(m.priority);
    if (!attributes.empty()) more += R"(, "attributes": [)" + attributes + "]";
    if (m.lanes) more += R"(, "limits": {"lanes": )" + std::to_string(*m.lanes) + "}";
    return rule(m.name, subject, domains, kinds, m.allow ? "allow" : "deny", more);
}

class Property : public PolicyFiles {
protected:
    bool chance(unsigned one_in) { return random_() % one_in == 0; }

    template<class List>
    auto some(const List& all, unsigned one_in) {
        std::vector<std::decay_t<decltype(all[0])>> chosen;
        for (const auto& value : all)
            if (chance(one_in)) chosen.push_back(value);
        return chosen;
    }

    Model model(std::size_t index) {
        static const std::vector<std::uint32_t> ids{0, 1, 2, 3};
        static const std::vector<std::pair<std::string, std::uint32_t>> attributes{
            {"debug", 1}, {"ptrace", 2}, {"crc", 4}, {"adaptive-qos", 16}, {"system-process", 32}, {"privileged", 64}};
        Model m;
        m.name = "r" + std::to_string(index);
        m.priority = static_cast<int>(random_() % 3) - 1;
        m.allow = !chance(3);
        m.any = chance(4);
        if (!m.any) m.users = some(ids, 2);
        if (!m.any) m.groups = some(ids, 3);
        if (!m.any && m.users.empty() && m.groups.empty()) m.users = {2};
        m.domains = some(all_domains, 2);
        if (m.domains.empty()) m.domains = {Domain::cdsp};
        m.kinds = some(all_pd_kinds, 2);
        if (m.kinds.empty()) m.kinds = {PdKind::unsigned_user};
        if (m.allow) m.attributes = some(attributes, 4);
        if (m.allow && chance(2)) m.lanes = 1 + static_cast<std::uint32_t>(random_() % 255);
        return m;
    }
    std::vector<Model> models() {
        std::vector<Model> all;
        for (std::size_t i = 0; i < 1 + random_() % 8; ++i) all.push_back(model(i));
        return all;
    }
    Policy policy_of(const std::vector<Model>& all) {
        std::vector<std::string> rules;
        for (const Model& m : all) rules.push_back(json(m));
        return good(file_of(rules));
    }
    template<class Check>
    static void for_each_request(const Check& check) {
        for (std::uint32_t uid = 0; uid < 5; ++uid)
            for (const std::vector<std::uint32_t>& gids :
                 std::vector<std::vector<std::uint32_t>>{{}, {0}, {1}, {2, 3}, {4}})
                for (const Domain domain : all_domains)
                    for (const PdKind kind : all_pd_kinds) check(Subject{uid, gids, ""}, Object{domain, kind});
    }

    std::mt19937 random_{20240601};
};

} // namespace

TEST_F(Property, decisions_and_grants_are_those_of_the_first_matching_rule_alone) {
    for (int round = 0; round < 60; ++round) {
        const std::vector<Model> all = models();
        const Policy policy = policy_of(all);
        for_each_request([&](const Subject& subject, const Object& object) {
            const Decision got = policy.decide(subject, object);
            const Model* want = decide(all, subject, object);
            ASSERT_EQ(got.rule, want == nullptr ? "" : want->name);
            ASSERT_EQ(got.allowed, want != nullptr && want->allow);
            if (!got.allowed) {
                ASSERT_EQ(got.grant, Grant{});
                return;
            }
            std::uint32_t named = 0;
            for (const auto& [name, bit] : want->attributes) named |= bit;
            ASSERT_EQ(got.grant.attributes, named | policy::attributes_of(object.kind));
            Limits limits = policy::default_limits;
            if (want->lanes) limits.lanes = *want->lanes;
            limits.lanes_per_uid = std::max(limits.lanes_per_uid, limits.lanes); // at least one session
            ASSERT_EQ(got.grant.limits, limits);
        });
    }
}

TEST_F(Property, adding_a_deny_or_removing_an_allow_never_allows_more) {
    for (int round = 0; round < 30; ++round) {
        const std::vector<Model> all = models();
        const Policy before = policy_of(all);
        std::vector<Model> denied = all;
        denied.push_back(model(all.size()));
        denied.back().allow = false;
        denied.back().attributes.clear();
        denied.back().lanes.reset();
        std::vector<Model> removed = all;
        if (const auto allow = std::ranges::find(removed, true, &Model::allow); allow != removed.end())
            removed.erase(allow);
        for (const Policy& after : {policy_of(denied), policy_of(removed)})
            for_each_request([&](const Subject& subject, const Object& object) {
                if (after.decide(subject, object).allowed) {
                    ASSERT_TRUE(before.decide(subject, object).allowed);
                }
            });
    }
}

TEST_F(Property, a_missing_field_never_allows_more) {
    // Every key taken out of every rule, one at a time: the file is refused, or nothing is allowed beyond before.
    const std::vector<std::string> keys{R"("subject": {"users": [1], "groups": [2]}, )",
                                        R"("domains": ["cdsp"], )",
                                        R"("kinds": ["signed"], )",
                                        R"(, "attributes": ["crc"])",
                                        R"(, "limits": {"sessions_per_uid": 1, "lanes": 4, "mapped_bytes": 16777216, )"
                                        R"("buffers": 16, "deadline_ms": 10000})",
                                        R"(, "trusted": true)",
                                        R"("name": "x", )"};
    const std::string text = file_of({R"({"name": "x", "subject": {"users": [1], "groups": [2]}, "domains": ["cdsp"], )"
                                      R"("kinds": ["signed"], "effect": "allow")" +
                                      keys[3] + keys[4] + keys[5] + "}"});
    const Policy before = good(text);
    int loaded = 0;
    for (const std::string& key : keys) {
        std::string less = text;
        ASSERT_NE(less.find(key), std::string::npos) << key;
        less.erase(less.find(key), key.size());
        write("p.json", less);
        const Result<Policy> after = load();
        if (!after) continue;
        ++loaded;
        for_each_request([&](const Subject& subject, const Object& object) {
            const Decision a = after->decide(subject, object);
            const Decision b = before.decide(subject, object);
            ASSERT_EQ(a.allowed, b.allowed);
            ASSERT_EQ(a.grant.attributes & ~b.grant.attributes, 0U);
            ASSERT_LE(a.grant.trusted, b.grant.trusted);
            ASSERT_EQ(a.grant.limits, b.grant.limits); // the rule spelled out the defaults
        });
    }
    EXPECT_EQ(loaded, 3); // attributes, limits and trusted are the only ones that may be left out
}
