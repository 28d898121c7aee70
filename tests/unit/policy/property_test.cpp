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
            ASSERT_EQ(policy.allows(subject, object), got.allowed);
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

TEST_F(Property, adding_a_deny_anywhere_or_removing_any_allow_never_allows_more) {
    for (int round = 0; round < 30; ++round) {
        const std::vector<Model> all = models();
        const Policy before = policy_of(all);
        std::vector<Policy> after;
        for (std::size_t place = 0; place <= all.size(); ++place) {
            std::vector<Model> denied = all;
            Model deny = model(all.size());
            deny.allow = false;
            deny.attributes.clear();
            deny.lanes.reset();
            denied.insert(denied.begin() + static_cast<std::ptrdiff_t>(place), deny);
            after.push_back(policy_of(denied));
        }
        for (std::size_t place = 0; place < all.size(); ++place) {
            if (!all[place].allow) continue;
            std::vector<Model> removed = all;
            removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(place));
            after.push_back(policy_of(removed));
        }
        for_each_request([&](const Subject& subject, const Object& object) {
            if (before.allows(subject, object)) return;
            for (const Policy& policy : after) ASSERT_FALSE(policy.allows(subject, object));
        });
    }
}

TEST_F(Property, two_files_whose_order_decides_are_reported_and_others_are_not) {
    int reported = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<Model> first{model(0), model(1)}, second{model(2), model(3)};
        const auto write_both = [&](const char* name_of_first, const char* name_of_second) {
            for (const char* name : {"/10-a.json", "/30-c.json"}) std::filesystem::remove(directories_[0] + name);
            write(name_of_first, file_of({json(first[0]), json(first[1])}));
            write(name_of_second, file_of({json(second[0]), json(second[1])}));
            return load().value();
        };
        const Policy swapped = write_both("30-c.json", "20-b.json");
        const Policy policy = write_both("10-a.json", "20-b.json");
        // Who is in all groups shows every overlap that there can be.
        std::size_t pairs = 0;
        for (const Model& a : first)
            for (const Model& b : second) {
                bool overlap = false;
                for (std::uint32_t uid = 0; uid < 5; ++uid)
                    for (const Domain domain : all_domains)
                        for (const PdKind kind : all_pd_kinds) {
                            const Subject subject{uid, {0, 1, 2, 3}, ""};
                            const bool possible = !policy::is_unsigned(kind) || has_unsigned(domain);
                            overlap |=
                                possible && matches(a, subject, {domain, kind}) && matches(b, subject, {domain, kind});
                        }
                if (!overlap || a.priority != b.priority || a.allow == b.allow) continue;
                ++pairs;
                const auto names = [&](const std::string& line) {
                    return line.find("rule \"" + a.name + "\"") != std::string::npos ||
                           line.find("rule \"" + b.name + "\"") != std::string::npos;
                };
                EXPECT_TRUE(std::ranges::any_of(warnings_, names)) << json(a) << "\n" << json(b);
            }
        std::erase_if(warnings_, [](const std::string& line) { return line.find("allows nothing") != line.npos; });
        EXPECT_EQ(warnings_.empty(), pairs == 0);
        EXPECT_LE(warnings_.size(), pairs);
        reported += warnings_.empty() ? 0 : 1;
        bool order_decides = false;
        for_each_request([&](const Subject& subject, const Object& object) {
            order_decides |= policy.allows(subject, object) != swapped.allows(subject, object);
        });
        EXPECT_TRUE(!order_decides || !warnings_.empty());
    }
    EXPECT_GT(reported, 20);
    EXPECT_LT(reported, 180);
}

TEST_F(Property, the_change_that_is_advised_lets_this_request_pass_and_none_of_a_thousand_others) {
    add_directory("b");
    int rules_added = 0, groups_joined = 0;
    for (int round = 0; round < 60; ++round) {
        std::vector<std::string> rules;
        for (const Model& m : models()) rules.push_back(json(m));
        write("10-base.json", file_of(rules));
        const Policy before = load().value();
        const Subject subject{static_cast<std::uint32_t>(random_() % 5), {4}, ""};
        const Object object{all_domains[random_() % all_domains.size()], all_pd_kinds[random_() % all_pd_kinds.size()]};
        const Decision decision = before.decide(subject, object);
        if (decision.allowed) continue;
        if (const auto group = decision.fix.find("usermod -aG "); group != std::string::npos) {
            Subject joined = subject;
            joined.gids.push_back(static_cast<std::uint32_t>(std::stoul(decision.fix.substr(group + 12))));
            EXPECT_TRUE(before.allows(joined, object)) << decision.fix;
            ++groups_joined;
            continue;
        }
        const std::string lead = "an administrator can add " + directories_[1] + "/";
        if (!decision.fix.starts_with(lead)) continue; // the DSP has no such PD
        ++rules_added;
        const auto text = decision.fix.find(" with {");
        const std::string name = decision.fix.substr(lead.size(), text - lead.size());
        write(name, decision.fix.substr(text + 6), 1);
        const Policy after = load().value();
        EXPECT_TRUE(after.allows(subject, object)) << decision.fix;
        for (int i = 0; i < 1000; ++i) {
            const Object other{all_domains[random_() % all_domains.size()],
                               all_pd_kinds[random_() % all_pd_kinds.size()]};
            const Subject another{
                static_cast<std::uint32_t>(random_() % 6),
                {static_cast<std::uint32_t>(random_() % 5), static_cast<std::uint32_t>(random_() % 5)},
                ""};
            const bool same = another.uid == subject.uid && other.domain == object.domain && other.kind == object.kind;
            if (same) continue; // the rule is for this user, whatever groups he is in
            const Decision now = after.decide(another, other);
            Decision then = before.decide(another, other);
            then.grant.revision = now.grant.revision; // of the files, which are other ones now
            ASSERT_EQ(now.allowed, then.allowed) << decision.fix;
            ASSERT_EQ(now.grant, then.grant) << decision.fix;
        }
        std::filesystem::remove(directories_[1] + "/" + name);
    }
    EXPECT_GT(rules_added, 20);
    EXPECT_GT(groups_joined, 0);
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
