// What a rule may want of a request beyond user, group, domain and kind: labels, modules, hashes, nodes, attributes,
// size.
#include "fixture.hpp"

#include "policy/rule.hpp"
#include "tests/unit/client/allocations.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

using Matchers = PolicyFiles;

constexpr const char* one = "0000000000000000000000000000000000000000000000000000000000000001";
constexpr const char* two = "00000000000000000000000000000000000000000000000000000000000000aB";

const std::string cdsp = R"("cdsp")", signed_kind = R"("signed")", any = R"("any": true)";

ModuleRequest module(const std::string& name, const char* hash = nullptr) {
    return {name, hash == nullptr ? std::nullopt : policy::sha256_from(hash)};
}

/// "rule", "!rule" when it denies, "?rule" when it asks, "." when there is none.
std::string answer(const Policy& policy, const Subject& subject, Object object,
                   const std::vector<ModuleRequest>& modules = {}) {
    object.modules = modules;
    const Decision decision = policy.decide(subject, object);
    EXPECT_EQ(policy.allows(subject, object), decision.allowed);
    EXPECT_EQ(decision.grant == Grant{}, !decision.allowed && !decision.ask);
    if (decision.rule.empty()) return ".";
    return (decision.allowed ? "" : decision.ask ? "?" : "!") + decision.rule;
}

constexpr Object cdsp_signed{Domain::cdsp, PdKind::signed_user};

} // namespace

TEST_F(Matchers, a_label_is_matched_beside_users_and_groups_and_never_when_there_is_none) {
    const Policy policy = good(file_of({
        rule("exact", R"("labels": ["camera", "video"])", cdsp, signed_kind, "allow"),
        rule("user", R"("users": [7], "labels": ["u:*:t:s0*"])", cdsp, signed_kind, "allow"),
        rule("group", R"("groups": [50], "labels": ["*"])", cdsp, signed_kind, "ask"),
        rule("all", R"("labels": ["*"])", R"("adsp")", signed_kind, "deny"),
    }));
    for (const auto& [subject, want] : std::vector<std::pair<Subject, std::string>>{
             {{1, {}, "camera"}, "exact"},
             {{1, {}, "video"}, "exact"},
             {{7, {50}, "camera"}, "exact"},
             {{1, {}, "camera2"}, "."},
             {{1, {}, "Camera"}, "."},
             {{1, {}, ""}, "."},
             {{7, {}, "u:r:t:s0"}, "user"},
             {{7, {}, "u:r:t:s0-s0:c0"}, "user"},
             {{8, {}, "u:r:t:s0"}, "."},
             {{7, {}, "u:r:x:s0"}, "."},
             {{7, {}, ""}, "."},
             {{7, {50}, "u:r:t:s0"}, "user"},
             {{8, {50}, "u:r:t:s0"}, "?group"},
             {{8, {50}, ""}, "."},
         })
        EXPECT_EQ(answer(policy, subject, cdsp_signed), want) << subject.uid << " " << subject.label;
    EXPECT_EQ(answer(policy, {1, {}, "x"}, {Domain::adsp, PdKind::signed_user}), "!all");
    EXPECT_EQ(answer(policy, {1, {}, ""}, {Domain::adsp, PdKind::signed_user}), ".");
}

TEST_F(Matchers, a_rule_that_allows_or_asks_is_about_requests_all_of_whose_modules_it_names) {
    for (const auto& [effect, sign] : {std::pair("allow", ""), std::pair("ask", "?")}) {
        const Policy policy = good(file_of({
            rule("some", any, cdsp, signed_kind, effect, R"("modules": ["a.so", "b*.so"])"),
            rule("user", R"("users": [7])", cdsp, signed_kind, effect, R"("modules": ["*"])"),
        }));
        const std::string some = std::string(sign) + "some", user = std::string(sign) + "user";
        EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("a.so")}), some);
        EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("bb.so"), module("a.so"), module("b.so")}), some);
        EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("a.so"), module("c.so")}), ".");
        EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("c.so"), module("a.so")}), ".");
        EXPECT_EQ(answer(policy, {7, {}, ""}, cdsp_signed, {module("c.so"), module("a.so")}), user);
        EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed), ".");
        EXPECT_EQ(answer(policy, {7, {}, ""}, cdsp_signed), ".");
    }
}

TEST_F(Matchers, a_rule_that_denies_modules_cannot_be_slipped_past_by_naming_more_or_less) {
    const Policy policy = good(file_of({
        rule("bad", any, cdsp, signed_kind, "deny", R"("modules": ["bad*.so"], "priority": 5)"),
        rule("hash", any, R"("adsp")", signed_kind, "deny",
             R"("priority": 5, "module_sha256": [")" + std::string(one) + R"("])"),
        rule("rest", any, R"("cdsp", "adsp")", signed_kind, "allow"),
    }));
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("bad.so")}), "!bad");
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("good.so"), module("bad2.so")}), "!bad");
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed), "!bad"); // could load it
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("good.so")}), "rest");
    const Object adsp{Domain::adsp, PdKind::signed_user};
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp, {module("x.so", one)}), "!hash");
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp, {module("x.so", two), module("y.so", one)}), "!hash");
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp, {module("x.so")}), "!hash"); // could be it
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp), "!hash");
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp, {module("x.so", two)}), "rest");
}

TEST_F(Matchers, a_hash_is_that_of_a_file_that_was_passed) {
    const std::string hashes = R"("module_sha256": [")" + std::string(one) + R"(", ")" + two + R"("])";
    const Policy policy = good(file_of({
        rule("named", any, cdsp, signed_kind, "allow", R"("modules": ["a.so"], )" + hashes),
        rule("hashed", any, R"("adsp")", signed_kind, "allow", hashes),
    }));
    const Object adsp{Domain::adsp, PdKind::signed_user};
    constexpr const char* other = "1000000000000000000000000000000000000000000000000000000000000001";
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("a.so", one)}), "named");
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("a.so", two)}), "named");
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("a.so", other)}), ".");
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("a.so")}), ".");
    EXPECT_EQ(answer(policy, {1, {}, ""}, cdsp_signed, {module("b.so", one)}), ".");
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp, {module("b.so", one), module("a.so", two)}), "hashed");
    // Bound to a name it is that module's alone.
    const std::string bound = R"("modules": [{"name": "a.so", "sha256": ")" + std::string(one) + R"("}, "b*"])";
    const Policy pairs = good(file_of({rule("pairs", any, cdsp, signed_kind, "allow", bound),
                                       rule("not", any, R"("adsp")", signed_kind, "deny", bound)}));
    EXPECT_EQ(answer(pairs, {1, {}, ""}, cdsp_signed, {module("a.so", one), module("b.so", two)}), "pairs");
    EXPECT_EQ(answer(pairs, {1, {}, ""}, cdsp_signed, {module("a.so", one), module("b.so")}), "pairs");
    EXPECT_EQ(answer(pairs, {1, {}, ""}, cdsp_signed, {module("a.so", two)}), ".");
    EXPECT_EQ(answer(pairs, {1, {}, ""}, cdsp_signed, {module("a.so")}), ".");
    EXPECT_EQ(answer(pairs, {1, {}, ""}, adsp, {module("a.so", one)}), "!not");
    EXPECT_EQ(answer(pairs, {1, {}, ""}, adsp, {module("a.so")}), "!not"); // could be it
    EXPECT_EQ(answer(pairs, {1, {}, ""}, adsp, {module("a.so", two)}), ".");
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp, {module("b.so", one), module("a.so")}), ".");
    EXPECT_EQ(answer(policy, {1, {}, ""}, adsp), ".");
}

TEST_F(Matchers, a_session_may_load_the_modules_that_its_request_named_and_no_others) {
    const Policy policy = good(file_of({rule("any", any, cdsp, signed_kind, "allow")}));
    EXPECT_TRUE(policy.decide({1, {}, ""}, cdsp_signed).grant.modules.empty());
    const std::vector<ModuleRequest> modules{module("a.so", one), module("b.so")};
    Object object = cdsp_signed;
    object.modules = modules;
    EXPECT_EQ(policy.decide({1, {}, ""}, object).grant.modules, modules);
}

TEST_F(Matchers, a_node_that_is_not_known_is_allowed_by_no_rule_that_names_nodes_and_denied_by_each) {
    const Policy policy = good(file_of({
        rule("hole", any, cdsp, signed_kind, "deny", R"("nodes": ["accel"], "priority": 1)"),
        rule("rest", any, R"("cdsp")", signed_kind, "allow"),
        rule("misc", any, R"("adsp")", signed_kind, "allow", R"("nodes": ["misc"])"),
        rule("both", any, R"("sdsp")", signed_kind, "ask", R"("nodes": ["accel", "misc"])"),
    }));
    struct Row {
        Domain domain;
        std::array<std::string, 3> answers; ///< by NodeKind
    };
    for (const Row& row : {Row{Domain::cdsp, {"!hole", "rest", "!hole"}}, Row{Domain::adsp, {".", "misc", "."}},
                           Row{Domain::sdsp, {".", "?both", "?both"}}})
        for (const NodeKind node : {NodeKind::unknown, NodeKind::misc, NodeKind::accel})
            EXPECT_EQ(answer(policy, {1, {}, ""}, {.domain = row.domain, .kind = PdKind::signed_user, .node = node}),
                      row.answers[static_cast<std::size_t>(node)])
                << to_string(row.domain);
}

TEST_F(Matchers, attributes_that_are_asked_for_come_from_a_rule_that_gives_all_of_them) {
    const Policy policy = good(file_of({
        rule("none", any, cdsp, R"("signed", "unsigned")", "allow", R"("priority": 3)"),
        rule("crc", any, cdsp, R"("signed")", "allow", R"("priority": 2, "attributes": ["crc"])"),
        rule("ban", R"("users": [6])", cdsp, R"("signed")", "deny", R"("priority": 1)"),
        rule("most", any, cdsp, R"("signed", "unsigned")", "ask", R"("attributes": ["crc", "debug"])"),
    }));
    const auto asks = [&](std::uint32_t uid, std::uint32_t attributes, PdKind kind = PdKind::signed_user) {
        return answer(policy, {uid, {}, ""}, {.domain = Domain::cdsp, .kind = kind, .attributes = attributes});
    };
    EXPECT_EQ(asks(1, 0), "none");
    EXPECT_EQ(asks(1, attribute::crc), "crc");
    EXPECT_EQ(asks(1, attribute::crc | attribute::debug), "?most");
    EXPECT_EQ(asks(1, attribute::debug), "?most");
    EXPECT_EQ(asks(1, attribute::privileged), ".");
    EXPECT_EQ(asks(1, attribute::crc | attribute::privileged), ".");
    EXPECT_EQ(asks(1, 1U << 30), ".");
    EXPECT_EQ(asks(6, attribute::crc), "crc");
    EXPECT_EQ(asks(6, attribute::debug), "!ban");                                  // denied, whatever is asked for
    EXPECT_EQ(asks(1, attribute::unsigned_module, PdKind::unsigned_user), "none"); // has it by itself
    EXPECT_EQ(asks(1, attribute::unsigned_module), ".");
    EXPECT_EQ(asks(1, attribute::crc, PdKind::unsigned_user), "?most");
}

TEST_F(Matchers, a_rule_that_does_not_narrow_is_not_about_requests_beyond_its_limits) {
    const Policy policy = good(file_of({
        rule(
            "small", any, cdsp, signed_kind, "allow",
            R"("narrows": false, "limits": {"lanes": 8, "mapped_bytes": 1000, "best_priority": 100, "stack_bytes": 64})"),
        rule("large", any, cdsp, signed_kind, "ask"),
        rule("plain", any, R"("adsp")", signed_kind, "allow", R"("narrows": false)"),
    }));
    const auto asks = [&](std::uint32_t priority, std::uint32_t stack, std::uint64_t memory, std::uint32_t lanes) {
        return answer(policy, {1, {}, ""},
                      {.domain = Domain::cdsp,
                       .kind = PdKind::signed_user,
                       .thread_priority = priority,
                       .thread_stack = stack,
                       .memory = memory,
                       .lanes = lanes});
    };
    EXPECT_EQ(asks(0, 0, 0, 0), "small");
    EXPECT_EQ(asks(100, 64, 1000, 8), "small");
    EXPECT_EQ(asks(255, 1, 1, 1), "small");
    EXPECT_EQ(asks(99, 0, 0, 0), "?large");
    EXPECT_EQ(asks(0, 65, 0, 0), "?large");
    EXPECT_EQ(asks(0, 0, 1001, 0), "?large");
    EXPECT_EQ(asks(0, 0, 0, 9), "?large");
    // Without "best_priority" a rule gives no priority at all.
    Object urgent{Domain::adsp, PdKind::signed_user};
    EXPECT_EQ(answer(policy, {1, {}, ""}, urgent), "plain");
    urgent.thread_priority = 255;
    EXPECT_EQ(answer(policy, {1, {}, ""}, urgent), ".");
}

TEST_F(Matchers, a_rule_is_not_about_requests_that_bring_more_directories_than_it_gives) {
    const Policy policy = good(file_of({
        rule("ban", R"("users": [9])", cdsp, signed_kind, "deny", R"("priority": 9)"),
        rule("none", R"("users": [1, 9])", cdsp, signed_kind, "allow", R"("limits": {"directories": 0})"),
        rule("bare", R"("users": [1, 2, 9])", cdsp, signed_kind, "allow"),
        rule("three", R"("users": [1, 2, 9], "groups": [50])", cdsp, signed_kind, "ask",
             R"("narrows": false, "limits": {"directories": 3})"),
        rule("all", R"("labels": ["big*"])", cdsp, signed_kind, "allow",
             R"("modules": ["*"], "limits": {"directories": 8})"),
    }));
    const std::vector<ModuleRequest> modules{module("a.so")};
    const auto answers = [&](const Subject& subject) {
        std::vector<std::string> all;
        for (std::uint32_t count = 0; count <= 9; ++count)
            all.push_back(answer(policy, subject,
                                 {.domain = Domain::cdsp, .kind = PdKind::signed_user, .directories = count}, modules));
        return all;
    };
    using Row = std::vector<std::string>;
    //                                        0       1       2         3         4      5      6      7      8      9
    EXPECT_EQ(answers({1, {}, ""}), (Row{"none", "bare", ".", ".", ".", ".", ".", ".", ".", "."}));
    EXPECT_EQ(answers({1, {50}, ""}), (Row{"none", "bare", "?three", "?three", ".", ".", ".", ".", ".", "."}));
    EXPECT_EQ(answers({2, {50}, "big"}),
              (Row{"bare", "bare", "?three", "?three", "all", "all", "all", "all", "all", "."}));
    EXPECT_EQ(answers({3, {50}, "big1"}), (Row{"all", "all", "all", "all", "all", "all", "all", "all", "all", "."}));
    EXPECT_EQ(answers({9, {50}, "big"}), Row(10, "!ban")) << "denied, whatever is brought";
    EXPECT_EQ(answers({4, {50}, ""}), Row(10, "."));
}

TEST_F(Matchers, how_loud_a_decision_is_is_its_rules_to_say) {
    const Policy policy = good(file_of({
        rule("a", R"("users": [1])", cdsp, signed_kind, "allow"),
        rule("b", R"("users": [2])", cdsp, signed_kind, "deny"),
        rule("c", R"("users": [3])", cdsp, signed_kind, "ask"),
        rule("d", R"("users": [4])", cdsp, signed_kind, "allow", R"("audit": "warning")"),
        rule("e", R"("users": [5])", cdsp, signed_kind, "deny", R"("audit": "none")"),
        rule("f", R"("users": [6])", cdsp, signed_kind, "ask", R"("audit": "notice")"),
    }));
    const std::vector<Audit> levels{Audit::notice,  Audit::info, Audit::notice, Audit::info,
                                    Audit::warning, Audit::none, Audit::notice};
    for (std::uint32_t uid = 0; uid < levels.size(); ++uid)
        EXPECT_EQ(policy.decide({uid, {}, ""}, cdsp_signed).audit, levels[uid]) << uid;
}

TEST_F(Matchers, one_file_is_enough_to_end_sessions_that_are_denied_by_a_new_policy) {
    EXPECT_FALSE(Policy().ends_denied_sessions());
    write("10.json", R"({"running_sessions": "keep", "rules": []})");
    EXPECT_FALSE(load()->ends_denied_sessions());
    write("20.json", R"({"running_sessions": "end", "rules": []})");
    EXPECT_TRUE(load()->ends_denied_sessions());
    write("30.json", R"({"running_sessions": "keep", "rules": []})");
    EXPECT_TRUE(load()->ends_denied_sessions());
}

TEST_F(Matchers, none_of_it_is_allocated_for) {
    std::vector<std::string> rules;
    for (int i = 0; i < 100; ++i) {
        const std::string n = std::to_string(i);
        rules.push_back(rule("l" + n, R"("labels": ["label)" + n + R"(", "*)" + n + R"("])", cdsp, signed_kind,
                             i % 3 == 0 ? "deny" : "allow"));
        rules.push_back(rule("m" + n, any, cdsp, signed_kind, i % 3 == 0 ? "deny" : "allow",
                             R"("priority": 1, "modules": ["m)" + n + R"(.so"])"));
    }
    const Policy policy = good(file_of(rules));
    const std::vector<ModuleRequest> modules{module("m1.so", one), module("m1.so")};
    const Subject subject{1, {}, "a label that is long enough to be on the heap, if it were copied, label7"};
    const std::size_t before = allocations();
    Object object = cdsp_signed;
    bool allowed = policy.allows(subject, object);
    object.modules = modules;
    allowed = policy.allows(subject, object) || allowed;
    object.attributes = attribute::crc;
    allowed = policy.allows(subject, object) || allowed;
    object.directories = 3;
    allowed = policy.allows(subject, object) || allowed;
    EXPECT_EQ(allocations(), before);
    EXPECT_TRUE(allowed); // with its modules
}
