// Files that are looked at before they are put in force, and tables of requests.
#include "fixture.hpp"

#include "policy/check.hpp"

#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::test;
using policy::Effect;

namespace {

class Check : public PolicyFiles {
protected:
    // The error of a table, without its directory; empty when it is good.
    std::string table_error(const std::string& text) {
        const auto outcomes = policy::run_tests(Policy(), "t.json", text);
        return outcomes ? "" : outcomes.error().text;
    }
};

std::string table_of(const std::string& request) {
    return "{\"requests\": [\n" + request + "\n]}";
}

const std::string any_signed = file_of({rule("r", R"("any": true)", R"("cdsp")", R"("signed")", "allow")});

} // namespace

TEST_F(Check, files_named_are_a_policy_of_their_own_in_the_order_of_their_names) {
    add_directory("b");
    const std::string later =
        write("20-b.json", file_of({rule("later", R"("any": true)", R"("cdsp")", R"("signed")", "deny")}), 0);
    const std::string first = write("10-a.json", any_signed, 1);
    write("05-not-named.json", "garbage");
    const auto checked = policy::check_files(std::vector{later, first});
    ASSERT_TRUE(checked) << checked.error().text;
    EXPECT_EQ(checked->policy.rules(), 2U);
    EXPECT_EQ(checked->policy.decide({1, {}, ""}, {Domain::cdsp, PdKind::signed_user}).rule, "r");
    ASSERT_EQ(checked->warnings.size(), 1U); // whose order decides
    EXPECT_NE(checked->warnings[0].find("\"later\" denies some of what rule \"r\""), std::string::npos);
}

TEST_F(Check, what_would_keep_a_file_from_being_read_in_force_is_a_warning) {
    const std::string path = write("x.json", any_signed);
    ::chmod(path.c_str(), 0666);
    const std::string link = directories_[0] + "/link.json";
    std::filesystem::create_symlink(write("y.json", file_of({})), link);
    const auto checked = policy::check_files(std::vector{path, link});
    ASSERT_TRUE(checked) << checked.error().text;
    EXPECT_EQ(checked->warnings,
              (std::vector<std::string>{path + ": mode 0666 lets others than its owner write it: chmod go-w " + path,
                                        link + ": a symbolic link; configuration must be regular files"}));
}

TEST_F(Check, what_is_wrong_with_a_file_is_an_error) {
    const std::string bad = write("bad.json", "{\"rules\": [}");
    const auto error_of_files = [](const std::vector<std::string>& paths) {
        const auto checked = policy::check_files(paths);
        return checked ? "" : checked.error().text;
    };
    EXPECT_NE(error_of_files({bad}).find("bad.json:1:12: syntax error"), std::string::npos);
    EXPECT_EQ(error_of_files({directories_[0] + "/none.json"}),
              directories_[0] + "/none.json: No such file or directory");
    EXPECT_EQ(error_of_files({directories_[0]}), directories_[0] + ": not a regular file");
    const std::string fifo = directories_[0] + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0644), 0); // must not block
    EXPECT_EQ(error_of_files({fifo}), fifo + ": not a regular file");
    const std::string large = write("large.json", std::string((1U << 20) + 1, ' '));
    EXPECT_EQ(error_of_files({large}), large + ": larger than 1048576 bytes; split it into several files");
}

TEST_F(Check, a_table_says_of_each_request_what_was_expected_and_what_came) {
    const Policy policy = good(file_of({
        rule("a", R"("users": [1])", R"("cdsp")", R"("signed")", "allow"),
        rule("b", R"("groups": [50], "labels": ["app*"])", R"("cdsp")", R"("signed")", "ask"),
        rule("c", R"("any": true)", R"("adsp")", R"("signed")", "deny"),
    }));
    const auto outcomes = policy::run_tests(policy, "t.json", R"({"description": "d", "requests": [
 {"uid": 1, "domain": "cdsp", "pd": "signed", "expect": "allow"},
 {"uid": 1, "domain": "cdsp", "pd": "signed", "expect": "allow", "rule": "b"},
 {"uid": 2, "groups": [50], "label": "app7", "domain": "cdsp", "pd": "signed", "expect": "ask", "rule": "b"},
 {"uid": 2, "groups": [50], "domain": "cdsp", "pd": "signed", "expect": "ask"},
 {"user": "daemon", "groups": ["daemon"], "domain": "adsp", "pd": "signed", "expect": "deny", "rule": "c",
  "modules": ["x.so"], "attributes": ["crc", "debug"], "directories": 2, "lanes": 3, "memory": 5000000000, "priority": 7, "stack": 9}
]})");
    ASSERT_TRUE(outcomes) << outcomes.error().text;
    ASSERT_EQ(outcomes->size(), 5U);
    const std::vector<bool> passed{true, false, true, false, true};
    for (std::size_t i = 0; i < passed.size(); ++i) {
        const policy::TestOutcome& outcome = (*outcomes)[i];
        EXPECT_EQ(outcome.passed, passed[i]) << outcome.request;
        EXPECT_EQ(outcome.file, "t.json");
        EXPECT_EQ(outcome.line, i + 2);
        EXPECT_EQ(outcome.column, 2U);
    }
    EXPECT_EQ((*outcomes)[1].got, Effect::allow); // but by another rule
    EXPECT_EQ((*outcomes)[1].expected_rule, "b");
    EXPECT_EQ((*outcomes)[1].decision.rule, "a");
    EXPECT_EQ((*outcomes)[2].request, "uid 2 in groups 50 with label \"app7\": signed on cdsp");
    EXPECT_EQ((*outcomes)[3].expected, Effect::ask);
    EXPECT_EQ((*outcomes)[3].got, Effect::deny);
    EXPECT_EQ((*outcomes)[4].request.substr((*outcomes)[4].request.find(':')),
              ": signed on adsp with modules \"x.so\" with attributes debug, crc, directories 2, lanes 3, "
              "memory 5000000000, priority 7, stack 9");
}

TEST_F(Check, a_table_asks_with_modules_their_hashes_and_the_node) {
    const std::string hash(64, 'a');
    const Policy policy =
        good(file_of({rule("a", R"("any": true)", R"("cdsp")", R"("signed")", "allow",
                           R"("modules": ["x.so"], "nodes": ["misc"], "module_sha256": [")" + hash + R"("])")}));
    const auto outcomes = policy::run_tests(policy, "t.json",
                                            R"({"requests": [
 {"uid": 1, "domain": "cdsp", "pd": "signed", "node": "misc", "expect": "allow", "modules": [{"name": "x.so", "sha256": ")" +
                                                hash + R"("}]},
 {"uid": 1, "domain": "cdsp", "pd": "signed", "node": "accel", "expect": "deny", "modules": [{"name": "x.so", "sha256": ")" +
                                                hash + R"("}]},
 {"uid": 1, "domain": "cdsp", "pd": "signed", "node": "misc", "expect": "deny", "modules": [{"name": "x.so"}]},
 {"uid": 1, "domain": "cdsp", "pd": "signed", "node": "misc", "expect": "deny", "modules": ["x.so"]}
]})");
    ASSERT_TRUE(outcomes) << outcomes.error().text;
    for (const policy::TestOutcome& outcome : *outcomes) EXPECT_TRUE(outcome.passed) << outcome.line;
}

TEST_F(Check, a_table_that_is_wrong_is_refused_with_its_place) {
    const std::string good_request = R"({"uid": 1, "domain": "cdsp", "pd": "signed", "expect": "deny"})";
    EXPECT_EQ(table_error(table_of(good_request)), "");
    const auto with_part = [&](const std::string& part, const std::string& other) {
        std::string text = good_request;
        return table_of(text.replace(text.find(part), part.size(), other));
    };
    for (
        const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
            {"[]", "1:1: a table of tests must be an object, not an array"},
            {"{}", "1:1: a table of tests needs \"requests\", an array"},
            {"{\"requests\": []}", "1:14: \"requests\" is empty; name at least one"},
            {"{\"request\": []}", "1:2: a table of tests has no key \"request\" (did you mean \"requests\"?)"},
            {"{\"description\": 1, \"requests\": []}", "1:17: \"description\" must be a string, not a whole number"},
            {table_of("7"), "2:1: a request must be an object, not a whole number"},
            {with_part("\"uid\": 1, ", ""), R"(2:1: a request has either "user", a name, or "uid", a number)"},
            {with_part("\"uid\": 1", R"("uid": 1, "user": "daemon")"),
             R"(2:1: a request has either "user", a name, or "uid", a number)"},
            {with_part("\"uid\": 1", R"("uid": "1")"), R"(2:9: "uid" must be a whole number, not a string)"},
            {with_part("\"uid\": 1", R"("uid": -1)"), "2:9: a uid must be from 0 to 4294967294, not -1"},
            {with_part("\"uid\": 1", R"("user": 1)"), R"(2:10: "user" must be a string, not a whole number)"},
            {with_part("\"uid\": 1", R"("user": "no-such-user-x")"),
             R"(2:10: this machine has no user "no-such-user-x")"},
            {with_part("\"uid\": 1", R"("uid": 1, "groups": ["no-such-group-x"])"),
             R"(2:23: this machine has no group "no-such-group-x")"},
            {with_part("\"uid\": 1", R"("uid": 1, "groups": ["44"])"),
             "2:23: write a gid as a number, without quotes: 44"},
            {with_part(", \"expect\": \"deny\"", ""), R"(2:1: the request has no "expect"; add it)"},
            {with_part("\"deny\"", "\"denied\""),
             R"(2:56: there is no answer "denied" (known: "allow", "deny", "ask"))"},
            {with_part("\"cdsp\"", "\"cdps\""),
             R"(2:22: there is no domain "cdps" (known: "adsp", "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1"))"},
            {with_part("\"signed\"", "\"sined\""), R"(2:36: there is no PD "sined" (did you mean "signed"?))"},
            {with_part("\"signed\"", "null"), R"(2:36: "pd" must be a string, not null)"},
            {with_part("\"uid\": 1", R"("uid": 1, "node": "qda")"),
             R"(2:20: there is no kind of node "qda" (known: "misc", "accel"))"},
            {with_part("\"uid\": 1", R"("uid": 1, "lanes": 0)"), R"(2:21: "lanes" must be from 1 to 255, not 0)"},
            {with_part("\"uid\": 1", R"("uid": 1, "directories": 9)"),
             R"(2:27: "directories" must be from 1 to 8, not 9)"},
            {with_part("\"uid\": 1", R"("uid": 1, "modules": [])"), R"(2:23: "modules" is empty; name at least one)"},
            {with_part("\"uid\": 1", R"("uid": 1, "modules": [1])"),
             "2:24: a module is a name or an object, not a whole number"},
            {with_part("\"uid\": 1", R"("uid": 1, "modules": [{"sha256": "00"}])"),
             R"(2:24: the module has no "name"; add it)"},
            {with_part("\"uid\": 1", R"("uid": 1, "modules": [{"name": "x", "sha256": "00"}])"),
             R"(2:48: "00" is no SHA-256: 64 hexadecimal digits, as sha256sum prints them)"},
            {with_part("\"uid\": 1", R"("uid": 1, "attributes": ["root"])"),
             R"(2:27: there is no attribute "root" (known: "debug", "ptrace", "crc", "adaptive-qos", "system-process", "privileged"))"},
            {with_part("\"uid\": 1", R"("uid": 1, "pid": 1)"),
             R"(2:12: a request has no key "pid" (did you mean "uid"?))"},
        })
        EXPECT_EQ(table_error(text), "t.json:" + error) << text;
}

TEST_F(Check, a_table_is_read_from_a_file_of_anybody) {
    const std::string path =
        write("t.json", table_of(R"({"uid": 1, "domain": "cdsp", "pd": "signed", "expect": "deny"})"));
    ::chmod(path.c_str(), 0666);
    const auto outcomes = policy::run_test_file(Policy(), path);
    ASSERT_TRUE(outcomes) << outcomes.error().text;
    EXPECT_TRUE(outcomes->at(0).passed);
    EXPECT_FALSE(policy::run_test_file(Policy(), path + "x"));
}

TEST_F(Check, the_list_of_rules_is_in_the_order_of_evaluation_and_in_words) {
    const Policy policy = good(file_of({
        rule("a", R"("users": [7, "20-29"], "groups": [50], "labels": ["x*"])", R"("cdsp", "adsp")", R"("signed")",
             "allow", R"("modules": ["m.so"], "nodes": ["misc"], "attributes": ["crc"], "narrows": false)"),
        rule("b", R"("any": true)", R"("cdsp")", R"("unsigned", "signed")", "deny",
             R"("priority": 3, "audit": "none")"),
    }));
    const std::vector<RuleInfo> rules = policy.list();
    ASSERT_EQ(rules.size(), 2U);
    EXPECT_EQ(rules[0].name, "b");
    EXPECT_EQ(rules[0].priority, 3);
    EXPECT_EQ(rules[0].line, 3U);
    EXPECT_EQ(rules[0].file, directories_[0] + "/p.json");
    EXPECT_EQ(rules[0].effect, Effect::deny);
    EXPECT_EQ(rules[0].audit, Audit::none);
    EXPECT_EQ(rules[0].subject, "everybody");
    EXPECT_EQ(rules[0].object, "unsigned, signed on cdsp");
    EXPECT_EQ(rules[1].subject, "users 7, 20-29 who are members of group 50 with label x*");
    EXPECT_EQ(rules[1].object, "signed on adsp, cdsp; nodes misc, modules m.so, attributes crc, not beyond its limits");
}
