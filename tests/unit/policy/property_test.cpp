// Random rule sets against a second, plain reading of the same rules (model.hpp): nothing ever widens a decision.
#include "model.hpp"

#include "policy/rule.hpp"

using namespace fastrpc;
using namespace fastrpc::test;
using policy::Effect;

namespace {

class Property : public PolicyFiles {
protected:
    Policy policy_of(const std::vector<Model>& all) {
        std::vector<std::string> rules;
        for (const Model& m : all) rules.push_back(json(m));
        return good(file_of(rules));
    }
    // Every user with several groups for everything, once without and once with something more to ask for.
    template<class Check>
    void for_each_request(const Check& check) {
        for (std::uint32_t uid = 0; uid < 5; ++uid)
            for (const std::vector<std::uint32_t>& gids :
                 std::vector<std::vector<std::uint32_t>>{{}, {0}, {1}, {2, 3}, {4}})
                for (const Domain domain : all_domains)
                    for (const PdKind kind : all_pd_kinds) {
                        check(Request{{uid, gids, ""}, {domain, kind}, {}});
                        check(make_.dress({uid, gids, ""}, {domain, kind}));
                    }
    }
    static Effect effect_of(const Decision& decision) {
        return decision.allowed ? Effect::allow : decision.ask ? Effect::ask : Effect::deny;
    }

    Maker make_{20240601};
};

} // namespace

TEST_F(Property, decisions_and_grants_are_those_of_the_first_matching_rule_alone) {
    std::array<int, 3> seen{};
    for (int round = 0; round < 60; ++round) {
        const std::vector<Model> all = make_.models();
        const Policy policy = policy_of(all);
        for_each_request([&](const Request& request) {
            const Decision got = policy.decide(request.subject, request.asked());
            const Model* want = decide(all, request);
            ASSERT_EQ(got.rule, want == nullptr ? "" : want->name);
            ASSERT_EQ(effect_of(got), want == nullptr ? Effect::deny : want->effect);
            ASSERT_EQ(policy.allows(request.subject, request.asked()), got.allowed);
            ++seen[static_cast<std::size_t>(effect_of(got))];
            if (effect_of(got) == Effect::deny) {
                ASSERT_EQ(got.grant, Grant{});
                return;
            }
            std::uint32_t attributes = own_attributes(request.object.kind);
            for (const auto& [name, bit] : want->attributes) attributes |= bit;
            ASSERT_EQ(got.grant.attributes, attributes);
            ASSERT_EQ(got.grant.modules, request.modules);
            Limits limits = policy::default_limits;
            if (want->lanes) limits.lanes = *want->lanes;
            if (want->directories) limits.directories = *want->directories;
            limits.lanes_per_uid = std::max(limits.lanes_per_uid, limits.lanes); // at least one session
            ASSERT_EQ(got.grant.limits, limits);
            ASSERT_LE(request.object.directories, got.grant.limits.directories);
        });
    }
    EXPECT_GT(std::ranges::min(seen), 1000);
}

TEST_F(Property, adding_a_deny_anywhere_or_removing_any_allow_never_allows_more) {
    for (int round = 0; round < 30; ++round) {
        const std::vector<Model> all = make_.models();
        const Policy before = policy_of(all);
        std::vector<Policy> after;
        for (std::size_t place = 0; place <= all.size(); ++place) {
            std::vector<Model> denied = all;
            Model deny = make_.model(all.size());
            while (deny.effect != Effect::deny) deny = make_.model(all.size());
            denied.insert(denied.begin() + static_cast<std::ptrdiff_t>(place), deny);
            after.push_back(policy_of(denied));
        }
        for (std::size_t place = 0; place < all.size(); ++place) {
            if (all[place].effect != Effect::allow) continue;
            std::vector<Model> removed = all;
            removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(place));
            after.push_back(policy_of(removed));
        }
        for_each_request([&](const Request& request) {
            const Effect then = effect_of(before.decide(request.subject, request.asked()));
            if (then == Effect::allow) return;
            for (const Policy& policy : after) {
                ASSERT_FALSE(policy.allows(request.subject, request.asked()));
                if (then == Effect::deny) {
                    ASSERT_FALSE(policy.decide(request.subject, request.asked()).ask);
                }
            }
        });
    }
}

TEST_F(Property, two_files_whose_order_decides_are_reported_and_others_are_not) {
    // A request of each kind that two rules could have in common, whoever and whatever is asked for.
    std::vector<Request> extras;
    for (const char* label : {"app", "ab", "wb"})
        for (const NodeKind node : {NodeKind::misc, NodeKind::accel})
            for (const char* name : {"", "a.so", "b.so"})
                for (const char digit : {'0', '1', '2'}) {
                    Request extra{{0, {}, label}, {.node = node}, {}};
                    if (*name != '\0') extra.modules = {{name, hash_of(digit)}};
                    extras.push_back(extra);
                }
    const auto common = [&](const Model& a, const Model& b) {
        const auto of_both = [&](Request request) {
            request.subject.gids = {0, 1, 2, 3}; // shows every overlap that there can be
            return failing(a, request).empty() && failing(b, request).empty();
        };
        for (const Request& extra : extras)
            for (std::uint32_t uid = 0; uid < 5; ++uid)
                for (const Domain domain : all_domains)
                    for (const PdKind kind : all_pd_kinds) {
                        if (policy::is_unsigned(kind) && !has_unsigned(domain)) continue;
                        Request request = extra;
                        request.subject.uid = uid;
                        request.object.domain = domain;
                        request.object.kind = kind;
                        if (of_both(request)) return true;
                    }
        return false;
    };
    int reported = 0;
    for (int round = 0; round < 100; ++round) {
        std::vector<Model> first{make_.model(0), make_.model(1)}, second{make_.model(2), make_.model(3)};
        const auto write_both = [&](const char* name_of_first, const char* name_of_second) {
            for (const char* name : {"/10-a.json", "/30-c.json"}) std::filesystem::remove(directories_[0] + name);
            write(name_of_first, file_of({json(first[0]), json(first[1])}));
            write(name_of_second, file_of({json(second[0]), json(second[1])}));
            return load().value();
        };
        const Policy swapped = write_both("30-c.json", "20-b.json");
        const Policy policy = write_both("10-a.json", "20-b.json");
        std::size_t pairs = 0;
        for (const Model& a : first)
            for (const Model& b : second) {
                if (a.priority != b.priority || a.effect == b.effect || !common(a, b)) continue;
                ++pairs;
                const auto names = [&](const std::string& line) {
                    return line.find("rule \"" + a.name + "\"") != std::string::npos ||
                           line.find("rule \"" + b.name + "\"") != std::string::npos;
                };
                EXPECT_TRUE(std::ranges::any_of(warnings_, names)) << json(a) << "\n" << json(b);
            }
        std::erase_if(warnings_, [](const std::string& line) { return line.find("allows nothing") != line.npos; });
        EXPECT_EQ(warnings_.empty(), pairs == 0)
            << json(first[0]) << json(first[1]) << json(second[0]) << json(second[1]);
        EXPECT_LE(warnings_.size(), pairs);
        reported += warnings_.empty() ? 0 : 1;
        bool order_decides = false;
        for_each_request([&](const Request& request) {
            order_decides |= effect_of(policy.decide(request.subject, request.asked())) !=
                             effect_of(swapped.decide(request.subject, request.asked()));
        });
        EXPECT_TRUE(!order_decides || !warnings_.empty());
    }
    EXPECT_GT(reported, 10);
    EXPECT_LT(reported, 90);
}

TEST_F(Property, the_change_that_is_advised_lets_this_request_pass_and_none_of_a_thousand_others) {
    add_directory("b");
    int changes = 0, groups_joined = 0;
    for (int round = 0; round < 80; ++round) {
        std::vector<std::string> rules;
        for (const Model& m : make_.models()) rules.push_back(json(m));
        write("10-base.json", file_of(rules));
        const Policy before = load().value();
        Request asked = make_.request();
        const Explanation why = before.explain(asked.subject, asked.asked());
        EXPECT_EQ(why.decision.fix.empty(), why.decision.allowed);
        if (const auto group = why.decision.fix.find("usermod -aG "); group != std::string::npos) {
            Subject joined = asked.subject;
            joined.gids.push_back(static_cast<std::uint32_t>(std::stoul(why.decision.fix.substr(group + 12))));
            EXPECT_TRUE(before.allows(joined, asked.asked())) << why.decision.fix;
            ++groups_joined;
        }
        if (why.change_file.empty()) {
            EXPECT_TRUE(why.decision.allowed || why.decision.reason.find("has no unsigned PDs") != std::string::npos);
            continue;
        }
        ++changes;
        const std::string name = why.change_file.substr(directories_[1].size() + 1);
        ASSERT_EQ(write(name, why.change_json, 1), why.change_file);
        const Policy after = load().value();
        EXPECT_TRUE(after.allows(asked.subject, asked.asked())) << why.change_json;
        // A request that asks for no more than this one is as good as this one; that includes what it does not name.
        const auto is_part = [&](const Request& other) {
            const bool modules =
                asked.modules.empty() ||
                (!other.modules.empty() && std::ranges::all_of(other.modules, [&](const ModuleRequest& module) {
                    return std::ranges::any_of(asked.modules, [&](const ModuleRequest& one) {
                        return one.name == module.name && (!one.sha256 || module.sha256 == one.sha256);
                    });
                }));
            return other.subject.uid == asked.subject.uid && other.object.domain == asked.object.domain &&
                   other.object.kind == asked.object.kind && modules &&
                   (asked.subject.label.empty() || other.subject.label == asked.subject.label) &&
                   (other.object.attributes & ~asked.object.attributes & ~own_attributes(asked.object.kind)) == 0 &&
                   other.object.directories <= std::max(asked.object.directories, 1U); // any rule gives one
        };
        for (int i = 0; i < 1000; ++i) {
            Request other = make_.request();
            if (i % 4 == 0) { // near ones, too
                other.subject.uid = asked.subject.uid;
                other.object.domain = asked.object.domain;
                other.object.kind = asked.object.kind;
            }
            const Decision now = after.decide(other.subject, other.asked());
            Decision then = before.decide(other.subject, other.asked());
            if (!then.allowed && is_part(other)) continue;
            then.grant.revision = now.grant.revision; // of the files, which are other ones now
            ASSERT_EQ(now.allowed, then.allowed) << why.change_json;
            if (then.rule == why.decision.rule) continue; // it is what was in the way
            ASSERT_EQ(now.grant, then.grant) << why.change_json;
        }
        std::filesystem::remove(why.change_file);
    }
    EXPECT_GT(changes, 40);
    EXPECT_GT(groups_joined, 0);
}

TEST_F(Property, a_rule_nearly_matched_when_all_but_the_condition_told_are_met) {
    std::set<std::string> conditions;
    for (int round = 0; round < 200; ++round) {
        const std::vector<Model> all = make_.models();
        const Policy policy = policy_of(all);
        for (int i = 0; i < 50; ++i) {
            const Request request = make_.request();
            const Explanation why = policy.explain(request.subject, request.asked());
            ASSERT_EQ(why.near.size(), why.near_count);
            std::size_t near = 0;
            for (const Model& m : all) {
                const std::vector<std::string> keys = failing(m, request);
                if (keys.size() != 1) continue;
                ++near;
                conditions.insert(keys[0]);
                const auto told = std::ranges::find(why.near, m.name, &NearMiss::rule);
                ASSERT_NE(told, why.near.end()) << json(m);
                EXPECT_EQ(told->condition, keys[0]) << json(m);
                EXPECT_EQ(told->effect, m.effect);
                EXPECT_FALSE(told->text.empty());
            }
            ASSERT_EQ(near, why.near_count);
        }
    }
    EXPECT_EQ(conditions.size(), 11U); // each of them was seen
}

TEST_F(Property, a_missing_field_never_allows_more) {
    // Every key taken out of every rule, one at a time: the file is refused, or nothing is allowed beyond before.
    const std::vector<std::string> keys{R"("subject": {"users": [1], "groups": [2]}, )",
                                        R"("domains": ["cdsp"], )",
                                        R"("kinds": ["signed"], )",
                                        R"(, "attributes": ["crc"])",
                                        R"(, "limits": {"sessions_per_uid": 1, "lanes": 4, "mapped_bytes": 16777216, )"
                                        R"("buffers": 16, "deadline_ms": 10000, "directories": 1})",
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
        for_each_request([&](const Request& request) {
            const Decision a = after->decide(request.subject, request.asked());
            const Decision b = before.decide(request.subject, request.asked());
            ASSERT_EQ(a.allowed, b.allowed);
            ASSERT_EQ(a.grant.attributes & ~b.grant.attributes, 0U);
            ASSERT_LE(a.grant.trusted, b.grant.trusted);
            ASSERT_EQ(a.grant.limits, b.grant.limits); // the rule spelled out the defaults
        });
    }
    EXPECT_EQ(loaded, 3); // attributes, limits and trusted are the only ones that may be left out
}
