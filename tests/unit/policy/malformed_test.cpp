// Policies that are wrong, over a hundred of them, each with the one line that it is answered with: where, what, and
// what would be right.
//
// Who adds a message to the loader adds a row here.
#include "fixture.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

const std::string any = R"("any": true)";

class Malformed : public PolicyFiles {
protected:
    struct Row {
        std::string text;
        std::string error;
    };
    void expect(const std::vector<Row>& table) {
        for (const Row& row : table) {
            const std::string error = error_of(row.text);
            EXPECT_EQ(error, row.error) << row.text;
            EXPECT_EQ(error.find('\n'), std::string::npos) << row.text;
            EXPECT_TRUE(warnings_.empty()) << row.text;
        }
    }
};

} // namespace

TEST_F(Malformed, what_is_replaced_in_the_rows_is_good_by_itself) {
    EXPECT_EQ(error_of(with("\"allow\"", "\"allow\"")), "");
}

TEST_F(Malformed, what_is_no_policy_file_is_refused_with_its_place_and_a_hint) {
    expect({
        // Not a policy file at all.
        {"", "p.json:1:1: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"},
        {"[]", "p.json:1:1: a policy file must be an object, not an array"},
        {"  7", "p.json:1:3: a policy file must be an object, not a whole number"},
        {"{}", "p.json:1:1: a policy file needs \"rules\", an array, which may be empty"},
        {"{\"rules\": {}}", "p.json:1:11: \"rules\" must be an array, not an object"},
        {"{\"rules\": [], \"rule\": 1}", "p.json:1:15: a policy file has no key \"rule\" (did you mean \"rules\"?)"},
        {"{\"$schema\": 5, \"rules\": []}", "p.json:1:13: \"$schema\" must be a string, not a whole number"},
        {"{\"rules\": []}\n\n x", "p.json:3:2: syntax error while parsing value - invalid literal"},
        {"{\"rules\": [],\n}", "p.json:2:1: syntax error while parsing object key - unexpected '}'; expected string "
                               "literal (is the comma before it too much?)"},
        {"{\"rules\": [\n1 \"x\"]}", "p.json:2:3: syntax error while parsing array - unexpected string literal; "
                                     "expected ']' (is a comma missing?)"},
        {"// no\n{\"rules\": []}",
         "p.json:1:1: syntax error while parsing value - invalid literal (JSON has no comments)"},
        {"{\"rules\": [3]}", "p.json:1:12: a rule must be an object, not a whole number"},
        {"{\"rules\":\n [],\n  \"rules\": []}", "p.json:3:3: the key \"rules\" is here twice; first in line 1"},
        {"{", "p.json:1:1: syntax error while parsing object key - unexpected end of input; expected string literal"},
        {R"({"rules": [)",
         "p.json:1:11: syntax error while parsing value - unexpected end of input; expected '[', '{', or a "
         "literal"},
        {R"({"rules": [})", "p.json:1:12: syntax error while parsing value - unexpected '}'; expected '[', '{', or a "
                            "literal"},
        {R"({"rules": []]})",
         "p.json:1:13: syntax error while parsing object - unexpected ']'; expected '}' (is a comma missing?)"},
        {R"({"rules" []})", "p.json:1:10: syntax error while parsing object separator - unexpected '['; expected ':'"},
        {R"({"$schema": "s" "rules": []})", "p.json:1:17: syntax error while parsing object - unexpected string "
                                            "literal; expected '}' (is a comma missing?)"},
        {R"({rules: []})", "p.json:1:2: syntax error while parsing object key - invalid literal"},
        {R"({'rules': []})",
         "p.json:1:2: syntax error while parsing object key - invalid literal (strings stand between double quotes)"},
        {"# no\n{\"rules\": []}",
         "p.json:1:1: syntax error while parsing value - invalid literal (JSON has no comments)"},
        {"{\"rules\": [\n/* no */ ]}",
         "p.json:2:1: syntax error while parsing value - invalid literal (JSON has no comments)"},
        {"{\"rules\n\": []}", "p.json:1:2: syntax error while parsing object key - invalid string: control character "
                              "U+000A (LF) must be escaped to \\u000A or \\n"},
        {R"({"rules)", "p.json:1:2: syntax error while parsing object key - invalid string: missing closing quote"},
        {R"({"rules": ["\x"]})",
         R"(p.json:1:12: syntax error while parsing value - invalid string: forbidden character after backslash)"},
        {R"({"rules": ["\ud800"]})", "p.json:1:12: syntax error while parsing value - invalid string: surrogate "
                                     "U+D800..U+DBFF must be followed by U+DC00..U+DFFF"},
        {"{\"rules\": [\"\xff\"]}",
         "p.json:1:12: syntax error while parsing value - invalid string: ill-formed UTF-8 byte"},
        {"\xff\xfe{", "p.json:1:1: syntax error while parsing value - invalid literal"},
        {R"({"rules": [01]})", "p.json:1:12: syntax error while parsing array - unexpected number literal; expected "
                               "']' (is a comma missing?)"},
        {R"({"rules": [+1]})", "p.json:1:12: syntax error while parsing value - invalid literal"},
        {R"({"rules": [1.]})",
         "p.json:1:12: syntax error while parsing value - invalid number; expected digit after '.'"},
        {R"({"rules": [-]})",
         "p.json:1:12: syntax error while parsing value - invalid number; expected digit after '-'"},
        {R"({"rules": [NaN]})", "p.json:1:12: syntax error while parsing value - invalid literal"},
        {R"({"rules": [True]})", "p.json:1:12: syntax error while parsing value - invalid literal"},
        {R"({"rules": null})", R"(p.json:1:11: "rules" must be an array, not null)"},
        {R"({"rules": [null]})", "p.json:1:12: a rule must be an object, not null"},
        {R"({"rules": [[]]})", "p.json:1:12: a rule must be an object, not an array"},
        {R"({"rules": [{}]})", R"(p.json:1:12: the rule has no "name"; add it, as in "name": "my-app")"},
        {"null", "p.json:1:1: a policy file must be an object, not null"},
        {R"("rules")", "p.json:1:1: a policy file must be an object, not a string"},
        {"{\"rules\": []}{}", "p.json:1:14: syntax error while parsing value - unexpected '{'; expected end of input"},
        {R"({"Rules": []})", R"(p.json:1:2: a policy file has no key "Rules" (did you mean "rules"?))"},
        {R"({"version": 1, "rules": []})",
         R"(p.json:1:2: a policy file has no key "version" (known: "$schema", "running_sessions", "rules"))"},
        // What stands in the file cannot break the message.
        {R"({"a\nb\u001b[31m": 1})",
         R"(p.json:1:2: a policy file has no key "a\u000ab\u001b[31m" (known: "$schema", "running_sessions", "rules"))"},
        {"{\"" + std::string(100, 'k') + "\": 1}", "p.json:1:2: a policy file has no key \"" + std::string(64, 'k') +
                                                       R"("... (known: "$schema", "running_sessions", "rules"))"},
        {"{\"" + std::string(63, 'k') + "öö\": 1}", "p.json:1:2: a policy file has no key \"" + std::string(63, 'k') +
                                                        R"(ö"... (known: "$schema", "running_sessions", "rules"))"},
        {R"({"a\nb": 1, "a\nb": 2})", R"(p.json:1:13: the key "a\u000ab" is here twice; first in line 1)"},
    });
}

TEST_F(Malformed, keys_of_a_rule) {
    expect({
        // Keys of a rule.
        {with("\"effect\"", "\"efect\""), "p.json:2:85: a rule has no key \"efect\" (did you mean \"effect\"?)"},
        {with("\"kinds\"", "\"kindz\""), "p.json:2:62: a rule has no key \"kindz\" (did you mean \"kinds\"?)"},
        {with("\"kinds\"", "\"zzz\""),
         "p.json:2:62: a rule has no key \"zzz\" (known: \"name\", \"description\", \"priority\", \"subject\", "
         "\"domains\", \"kinds\", \"nodes\", \"modules\", \"module_sha256\", \"effect\", \"limits\", \"attributes\", "
         "\"trusted\", \"narrows\", \"audit\")"},
        {with("\"name\": \"r\", ", ""), "p.json:2:1: the rule has no \"name\"; add it, as in \"name\": \"my-app\""},
        {with("\"subject\": {\"any\": true}, ", ""),
         "p.json:2:1: the rule has no \"subject\"; add it, as in \"subject\": {\"groups\": [\"fastrpc\"]}"},
        {with("\"domains\": [\"cdsp\"], ", ""),
         "p.json:2:1: the rule has no \"domains\"; add it, as in \"domains\": [\"unsigned-capable\"]"},
        {with("\"kinds\": [\"unsigned\"], ", ""),
         "p.json:2:1: the rule has no \"kinds\"; add it, as in \"kinds\": [\"unsigned\"]"},
        {with(", \"effect\": \"allow\"", ""),
         "p.json:2:1: the rule has no \"effect\"; add it, as in \"effect\": \"allow\""},
        {with("\"r\"", "\"r\", \"name\": \"s\""), "p.json:2:15: the key \"name\" is here twice; first in line 2"},
        // Two rules of one name.
        {file_of(
             {rule("x", any, R"("cdsp")", R"("signed")", "deny"), rule("x", any, R"("cdsp")", R"("signed")", "deny")}),
         "p.json:3:2: a rule \"x\" exists already at p.json:2; give one of them another name"},
    });
}

TEST_F(Malformed, names_effects_and_priorities) {
    expect({
        // Name.
        {with("\"r\"", "7"), "p.json:2:10: \"name\" must be a string, not a whole number"},
        {with("\"r\"", "\"\""), "p.json:2:10: a rule's name is 1 to 64 of a-z, 0-9, '-', '_' and '.'"},
        {with("\"r\"", "\"My rule\""), "p.json:2:10: a rule's name is 1 to 64 of a-z, 0-9, '-', '_' and '.'"},
        {with("\"r\"", "\"" + std::string(65, 'r') + "\""),
         "p.json:2:10: a rule's name is 1 to 64 of a-z, 0-9, '-', '_' and '.'"},
        {with("\"r\"", "\"r\", \"description\": []"), "p.json:2:30: \"description\" must be a string, not an array"},
        // Effect.
        {with("\"allow\"", "\"alow\""), "p.json:2:95: there is no effect \"alow\" (did you mean \"allow\"?)"},
        {with("\"allow\"", "true"), "p.json:2:95: \"effect\" must be a string, not true or false"},
        // Priority.
        {with("\"r\"", "\"r\", \"priority\": 1001"), "p.json:2:27: \"priority\" must be from -1000 to 1000, not 1001"},
        {with("\"r\"", "\"r\", \"priority\": -1001"),
         "p.json:2:27: \"priority\" must be from -1000 to 1000, not -1001"},
        {with("\"r\"", "\"r\", \"priority\": 1.5"),
         "p.json:2:27: \"priority\" must be a whole number, not a fraction or a number out of range"},
        {with("\"r\"", "\"r\", \"priority\": 99999999999999999999"),
         "p.json:2:27: \"priority\" must be a whole number, not a fraction or a number out of range"},
        {with("\"r\"", "\"r\", \"priority\": 9223372036854775808"),
         "p.json:2:27: \"priority\" must be a whole number, not a fraction or a number out of range"},
        {with("\"r\"", "\"r\", \"priority\": \"1\""), "p.json:2:27: \"priority\" must be a whole number, not a string"},
        {with("\"r\"", "null"), R"(p.json:2:10: "name" must be a string, not null)"},
        {with("\"r\"", "\"\\u00e4\""), "p.json:2:10: a rule's name is 1 to 64 of a-z, 0-9, '-', '_' and '.'"},
        {with("\"allow\"", "\"Allow\""), R"(p.json:2:95: there is no effect "Allow" (did you mean "allow"?))"},
        {with("\"allow\"", "\"permit\""),
         R"(p.json:2:95: there is no effect "permit" (known: "allow", "deny", "ask"))"},
        {with("\"allow\"", "\"\""), R"(p.json:2:95: there is no effect "" (known: "allow", "deny", "ask"))"},
        {with("\"allow\"", "null"), R"(p.json:2:95: "effect" must be a string, not null)"},
        {with("\"r\"", "\"r\", \"priority\": null"), R"(p.json:2:27: "priority" must be a whole number, not null)"},
        {with("\"r\"", "\"r\", \"prio\": 1"),
         R"(p.json:2:15: a rule has no key "prio" (known: "name", "description", "priority", "subject", "domains", "kinds", "nodes", "modules", "module_sha256", "effect", "limits", "attributes", "trusted", "narrows", "audit"))"},
    });
}

TEST_F(Malformed, subjects) {
    expect({
        // Subject.
        {with("{\"any\": true}", "\"any\""), "p.json:2:26: \"subject\" must be an object, not a string"},
        {with("{\"any\": true}", "{}"),
         "p.json:2:26: \"subject\" names nobody; write \"users\", \"groups\", \"labels\" or \"any\": true"},
        {with("\"any\": true", "\"any\": false"), "p.json:2:34: \"any\" can only be true; else leave it out"},
        {with("\"any\": true", "\"any\": 1"), "p.json:2:34: \"any\" must be true or false, not a whole number"},
        {with("\"any\": true", "\"users\": [1], \"any\": true"), "p.json:2:41: \"any\" allows no other key beside it"},
        {with("\"any\": true", "\"user\": [1]"),
         "p.json:2:27: \"subject\" has no key \"user\" (did you mean \"users\"?)"},
        {with("\"any\": true", "\"users\": []"), "p.json:2:36: \"users\" is empty; name at least one"},
        {with("\"any\": true", "\"groups\": []"), "p.json:2:37: \"groups\" is empty; name at least one"},
        {with("\"any\": true", "\"users\": 1000"), "p.json:2:36: \"users\" must be an array, not a whole number"},
        {with("\"any\": true", "\"users\": [null]"),
         "p.json:2:37: a user is a name, a uid or a range \"2000-2999\", not null"},
        {with("\"any\": true", "\"users\": [\"1000\"]"), "p.json:2:37: write a uid as a number, without quotes: 1000"},
        {with("\"any\": true", "\"users\": [-1]"), "p.json:2:37: a uid must be from 0 to 4294967294, not -1"},
        {with("\"any\": true", "\"users\": [4294967295]"),
         "p.json:2:37: a uid must be from 0 to 4294967294, not 4294967295"},
        {with("\"any\": true", "\"users\": [\"20-10\"]"),
         "p.json:2:37: \"20-10\" is not a range of uids such as \"2000-2999\""},
        {with("\"any\": true", "\"users\": [\"10-\"]"),
         "p.json:2:37: \"10-\" is not a range of uids such as \"2000-2999\""},
        {with("\"any\": true", "\"users\": [\"0-4294967295\"]"),
         "p.json:2:37: \"0-4294967295\" is not a range of uids such as \"2000-2999\""},
        {with("\"any\": true", "\"users\": [\"0-99999999999\"]"),
         "p.json:2:37: \"0-99999999999\" is not a range of uids such as \"2000-2999\""},
        {with(any, R"("users": [""])"), R"(p.json:2:37: "" is not the name of a user; everybody is "any": true)"},
        {with(any, R"("users": ["*"])"), R"(p.json:2:37: "*" is not the name of a user; everybody is "any": true)"},
        {with("\"any\": true", "\"users\": [\"a\\u0000b\"]"),
         R"(p.json:2:37: "a\u0000b" is not the name of a user; everybody is "any": true)"},
        {with("\"any\": true", "\"groups\": [\"x; reboot\"]"),
         R"(p.json:2:38: "x; reboot" is not the name of a group; everybody is "any": true)"},
        {with("\"any\": true", "\"groups\": [\"44\"]"), "p.json:2:38: write a gid as a number, without quotes: 44"},
        {with("\"any\": true", "\"groups\": [{}]"), "p.json:2:38: a group is a name or a gid, not an object"},
        {with(any, R"("users": ["99999999999"])"),
         R"(p.json:2:37: "99999999999" is not a range of uids such as "2000-2999")"},
        {with(any, R"("users": ["9999999999"])"), "p.json:2:37: write a uid as a number, without quotes: 9999999999"},
        {with(any, R"("users": ["1-2-3"])"), R"(p.json:2:37: "1-2-3" is not a range of uids such as "2000-2999")"},
        {with(any, R"("users": ["1 - 2"])"), R"(p.json:2:37: "1 - 2" is not a range of uids such as "2000-2999")"},
        {with(any, R"("users": ["-5"])"), R"(p.json:2:37: "-5" is not the name of a user; everybody is "any": true)"},
        {with(any, R"("users": [1.5])"),
         R"(p.json:2:37: a user is a name, a uid or a range "2000-2999", not a fraction or a number out of range)"},
        {with(any, R"("users": [true])"),
         R"(p.json:2:37: a user is a name, a uid or a range "2000-2999", not true or false)"},
        {with(any, R"("users": [[1]])"),
         R"(p.json:2:37: a user is a name, a uid or a range "2000-2999", not an array)"},
        {with(any, R"("users": [1, "a b"])"),
         R"(p.json:2:40: "a b" is not the name of a user; everybody is "any": true)"},
        {with(any, R"("groups": ["44x"])"),
         R"(p.json:2:38: "44x" is not the name of a group; everybody is "any": true)"},
        {with(any, R"("groups": [-1])"), "p.json:2:38: a gid must be from 0 to 4294967294, not -1"},
        {with(any, R"("groups": [4294967295])"), "p.json:2:38: a gid must be from 0 to 4294967294, not 4294967295"},
        {with(any, R"("groups": "fastrpc")"), R"(p.json:2:37: "groups" must be an array, not a string)"},
        {with(any, R"("groups": [")" + std::string(257, 'g') + R"("])"),
         "p.json:2:38: \"" + std::string(64, 'g') + R"("... is not the name of a group; everybody is "any": true)"},
        {with(any, R"("label": "x")"), R"(p.json:2:27: "subject" has no key "label" (did you mean "labels"?))"},
        {with("{\"any\": true}", "[]"), R"(p.json:2:26: "subject" must be an object, not an array)"},
    });
}

TEST_F(Malformed, domains_and_kinds) {
    expect({
        // Domains and kinds.
        {with("[\"cdsp\"]", "[\"cdps\"]"),
         "p.json:2:53: there is no domain \"cdps\" (known: \"unsigned-capable\", \"adsp\", \"mdsp\", \"sdsp\", "
         "\"cdsp\", \"cdsp1\", \"gdsp0\", \"gdsp1\")"},
        {with("[\"cdsp\"]", "[\"cdsp\", \"xdsp\"]"),
         "p.json:2:61: there is no domain \"xdsp\" (did you mean \"adsp\"?)"},
        {with("[\"cdsp\"]", "[\"cdsp\", \"cdsp\"]"), "p.json:2:61: \"cdsp\" is here twice; leave one out"},
        {with("[\"cdsp\"]", "[]"), "p.json:2:52: \"domains\" is empty; name at least one"},
        {with("[\"cdsp\"]", "\"cdsp\""), "p.json:2:52: \"domains\" must be an array, not a string"},
        {with("[\"cdsp\"]", "[3]"), "p.json:2:53: a domain must be a string, not a whole number"},
        {with("[\"unsigned\"]", "[\"unsinged\"]"),
         "p.json:2:72: there is no kind \"unsinged\" (did you mean \"unsigned\"?)"},
        {with("[\"unsigned\"]", "[\"any\"]"),
         "p.json:2:72: there is no kind \"any\" (known: \"unsigned\", \"signed\", \"system-unsigned\", \"root\", "
         "\"audio\", \"sensors\")"},
        {with("[\"unsigned\"]", "[]"), "p.json:2:71: \"kinds\" is empty; name at least one"},
        {with("[\"cdsp\"]", "[\"CDSP\"]"), R"(p.json:2:53: there is no domain "CDSP" (did you mean "cdsp"?))"},
        {with("[\"cdsp\"]", "[\"all\"]"),
         R"(p.json:2:53: there is no domain "all" (known: "unsigned-capable", "adsp", "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1"))"},
        {with("[\"cdsp\"]", "[\"cdsp\", null]"), "p.json:2:61: a domain must be a string, not null"},
        {with("[\"cdsp\"]", "{}"), R"(p.json:2:52: "domains" must be an array, not an object)"},
        {with("[\"unsigned\"]", "\"unsigned\""), R"(p.json:2:71: "kinds" must be an array, not a string)"},
        {with("[\"unsigned\"]", "[1]"), "p.json:2:72: a kind must be a string, not a whole number"},
        {with("[\"unsigned\"]", "[\"signed\", \"signed\"]"), R"(p.json:2:82: "signed" is here twice; leave one out)"},
        {with("[\"unsigned\"]", "[\"guestos\\n\"]"),
         R"(p.json:2:72: there is no kind "guestos\u000a" (known: "unsigned", "signed", "system-unsigned", "root", "audio", "sensors"))"},
    });
}

TEST_F(Malformed, labels_and_modules) {
    const auto more = [](const std::string& keys) { return with("\"allow\"}", "\"allow\", " + keys + "}"); };
    const std::string hash(64, 'a');
    expect({
        {with(any, R"("labels": [])"), R"(p.json:2:37: "labels" is empty; name at least one)"},
        {with(any, R"("labels": "a")"), R"(p.json:2:37: "labels" must be an array, not a string)"},
        {with(any, R"("labels": [7])"), "p.json:2:38: a label must be a string, not a whole number"},
        {with(any, R"("labels": [""])"), R"(p.json:2:38: "" is no label: one has 1 to 512 characters)"},
        {with(any, R"("labels": [")" + std::string(513, 'a') + "\"]"),
         "p.json:2:38: \"" + std::string(64, 'a') + "\"... is no label: one has 1 to 512 characters"},
        {with(any, R"("labels": ["a", "b?"])"), R"(p.json:2:43: "b?" is no label: one has no other wildcard than '*')"},
        {with(any, R"("labels": ["[ab]"])"), R"(p.json:2:38: "[ab]" is no label: one has no other wildcard than '*')"},
        {with(any, R"("labels": ["{a,b}"])"),
         R"(p.json:2:38: "{a,b}" is no label: one has no other wildcard than '*')"},
        {with(any, R"("labels": ["*a*b*c*d*"])"), R"(p.json:2:38: "*a*b*c*d*" is no label: one has at most 4 '*')"},
        {with(any, R"("labels": ["a\u0000"])"),
         R"(p.json:2:38: "a\u0000" is no label: one is printable ASCII without '"' and '\')"},
        {with(any, R"("labels": ["\u00e4"])"),
         R"(p.json:2:38: "ä" is no label: one is printable ASCII without '"' and '\')"},
        {with(any, R"("any": true, "labels": ["a"])"), R"(p.json:2:27: "any" allows no other key beside it)"},
        {more(R"("modules": [])"), R"(p.json:2:115: "modules" is empty; name at least one)"},
        {more(R"("modules": {})"), R"(p.json:2:115: "modules" must be an array, not an object)"},
        {more(R"("modules": [null])"), "p.json:2:116: a module is a name or an object, not null"},
        {more(R"("modules": [""])"), R"(p.json:2:116: "" is no module: the name of one has 1 to 512 characters)"},
        {more(R"("modules": ["/lib/a.so"])"),
         R"(p.json:2:116: "/lib/a.so" is no module: the name of one is a file's name, without directories)"},
        {more(R"("modules": ["a.so", "lib?.so"])"),
         R"(p.json:2:124: "lib?.so" is no module: the name of one has no other wildcard than '*')"},
        {more(R"("modules": ["a\nb"])"),
         R"(p.json:2:116: "a\u000ab" is no module: the name of one is printable ASCII without '"' and '\')"},
        {more(R"("modules": [{}])"), R"(p.json:2:116: the module has no "name"; add it)"},
        {more(R"("modules": [{"name": 1}])"), R"(p.json:2:125: "name" must be a string, not a whole number)"},
        {more(R"("modules": [{"name": "a/b"}])"),
         R"(p.json:2:125: "a/b" is no module: the name of one is a file's name, without directories)"},
        {more(R"("modules": [{"name": "a.so", "sha": ""}])"),
         R"(p.json:2:133: a module has no key "sha" (known: "name", "sha256"))"},
        {more(R"("modules": [{"name": "a.so", "sha256": "1"}])"),
         R"(p.json:2:143: "1" is no SHA-256: 64 hexadecimal digits, as sha256sum prints them)"},
        {more(R"("module": ["a.so"])"), R"(p.json:2:104: a rule has no key "module" (did you mean "modules"?))"},
        {more(R"("module_sha256": [])"), R"(p.json:2:121: "module_sha256" is empty; name at least one)"},
        {more(R"("module_sha256": ")" + hash + "\""),
         R"(p.json:2:121: "module_sha256" must be an array, not a string)"},
        {more(R"("module_sha256": [1])"), "p.json:2:122: a SHA-256 must be a string, not a whole number"},
        {more(R"("module_sha256": ["abc"])"),
         R"(p.json:2:122: "abc" is no SHA-256: 64 hexadecimal digits, as sha256sum prints them)"},
        {more(R"("module_sha256": [")" + hash.substr(1) + R"(g"])"),
         "p.json:2:122: \"" + hash.substr(1) + "g\" is no SHA-256: 64 hexadecimal digits, as sha256sum prints them"},
        {more(R"("module_sha256": [")" + hash.substr(1) + R"(-"])"),
         "p.json:2:122: \"" + hash.substr(1) + "-\" is no SHA-256: 64 hexadecimal digits, as sha256sum prints them"},
        {more(R"("module_sha256": [")" + hash + R"(0"])"),
         "p.json:2:122: \"" + hash + "\"... is no SHA-256: 64 hexadecimal digits, as sha256sum prints them"},
    });
}

TEST_F(Malformed, nodes_audit_narrows_and_running_sessions) {
    const auto more = [](const std::string& keys) { return with("\"allow\"}", "\"allow\", " + keys + "}"); };
    const auto denial = [](const std::string& keys) { return with("\"allow\"}", "\"deny\", " + keys + "}"); };
    expect({
        {more(R"("nodes": [])"), R"(p.json:2:113: "nodes" is empty; name at least one)"},
        {more(R"("nodes": ["qda"])"), R"(p.json:2:114: there is no kind of node "qda" (known: "misc", "accel"))"},
        {more(R"("nodes": ["acel"])"), R"(p.json:2:114: there is no kind of node "acel" (did you mean "accel"?))"},
        {more(R"("nodes": ["misc", "misc"])"), R"(p.json:2:122: "misc" is here twice; leave one out)"},
        {more(R"("nodes": [1])"), "p.json:2:114: a kind of node must be a string, not a whole number"},
        {more(R"("nodes": "misc")"), R"(p.json:2:113: "nodes" must be an array, not a string)"},
        {more(R"("audit": "notcie")"), R"(p.json:2:113: there is no audit level "notcie" (did you mean "notice"?))"},
        {more(R"("audit": "all")"),
         R"(p.json:2:113: there is no audit level "all" (known: "none", "info", "notice", "warning"))"},
        {more(R"("audit": false)"), R"(p.json:2:113: "audit" must be a string, not true or false)"},
        {more(R"("narrows": "no")"), R"(p.json:2:115: "narrows" must be true or false, not a string)"},
        {denial(R"("narrows": true)"), R"(p.json:2:103: only a rule that allows or asks has "narrows"; leave it out)"},
        {with("\"allow\"", "\"ask polkit\""),
         R"(p.json:2:95: there is no effect "ask polkit" (known: "allow", "deny", "ask"))"},
        {with("\"allow\"", "\"aks\""), R"(p.json:2:95: there is no effect "aks" (known: "allow", "deny", "ask"))"},
        {R"({"running_sessions": "stop", "rules": []})",
         R"(p.json:1:22: "running_sessions" is "keep" or "end", not "stop")"},
        {R"({"running_sessions": true, "rules": []})",
         R"(p.json:1:22: "running_sessions" must be a string, not true or false)"},
        {R"({"running_session": "end", "rules": []})",
         R"(p.json:1:2: a policy file has no key "running_session" (did you mean "running_sessions"?))"},
        {R"({"running_sessions": "end"})", R"(p.json:1:1: a policy file needs "rules", an array, which may be empty)"},
    });
}

TEST_F(Malformed, rules_of_very_many_combinations) {
    const auto numbers = [](int count) {
        std::string text = "0";
        for (int i = 1; i < count; ++i) text += "," + std::to_string(i);
        return text;
    };
    const auto wanted = [&](int users, int groups) {
        return with(any, R"("users": [)" + numbers(users) + R"(], "groups": [)" + numbers(groups) + "]");
    };
    EXPECT_EQ(error_of(wanted(128, 128)), "");
    EXPECT_EQ(error_of(wanted(16384, 1)), "");
    expect({{wanted(129, 128), R"(p.json:2:1: rule "r" has more than 16384 combinations of users, groups, labels and )"
                               "modules; make several of it, or a group of its users"}});
}

TEST_F(Malformed, limits_attributes_and_trust) {
    expect({
        // Limits and attributes.
        {with("\"allow\"}", "\"allow\", \"limits\": []}"), "p.json:2:114: \"limits\" must be an object, not an array"},
        {with("\"allow\"}", "\"allow\", \"limits\": {\"lane\": 1}}"),
         "p.json:2:115: \"limits\" has no key \"lane\" (did you mean \"lanes\"?)"},
        {with("\"allow\"}", "\"allow\", \"limits\": {\"lanes\": 0}}"),
         "p.json:2:124: \"lanes\" must be from 1 to 255, not 0"},
        {with("\"allow\"}", "\"allow\", \"limits\": {\"lanes\": 256}}"),
         "p.json:2:124: \"lanes\" must be from 1 to 255, not 256"},
        {with("\"allow\"}", "\"allow\", \"limits\": {\"lanes\": -1}}"),
         "p.json:2:124: \"lanes\" must be from 1 to 255, not -1"},
        {with("\"allow\"}", "\"allow\", \"limits\": {\"mapped_bytes\": 68719476737}}"),
         "p.json:2:131: \"mapped_bytes\" must be from 0 to 68719476736, not 68719476737"},
        {with("\"allow\"}", "\"allow\", \"limits\": {\"lanes\": \"all\"}}"),
         "p.json:2:124: \"lanes\" must be a whole number, not a string"},
        {with("\"allow\"}", "\"deny\", \"limits\": {}}"),
         "p.json:2:103: only a rule that allows or asks has \"limits\"; leave it out"},
        {with("\"allow\"}", "\"deny\", \"attributes\": []}"),
         "p.json:2:103: only a rule that allows or asks has \"attributes\"; leave it out"},
        {with("\"allow\"}", "\"allow\", \"attributes\": [\"root\"]}"),
         "p.json:2:119: there is no attribute \"root\" (known: \"debug\", \"ptrace\", \"crc\", \"adaptive-qos\", "
         "\"system-process\", \"privileged\")"},
        {with("\"allow\"}", "\"allow\", \"attributes\": 255}"),
         "p.json:2:118: \"attributes\" must be an array, not a whole number"},
        {with("\"allow\"}", "\"allow\", \"trusted\": \"yes\"}"),
         "p.json:2:115: \"trusted\" must be true or false, not a string"},
        {with("\"allow\"}", "\"deny\", \"trusted\": false}"),
         "p.json:2:103: only a rule that allows or asks has \"trusted\"; leave it out"},
        {with("\"allow\"}", R"("allow", "limits": {"lanes_per_uid": 3}})"),
         R"(p.json:2:132: "lanes_per_uid" is 3, and one session of this rule takes 4 already)"},
        {with("\"allow\"}", R"("allow", "limits": {"mapped_bytes_per_uid": 0}})"),
         R"(p.json:2:139: "mapped_bytes_per_uid" is 0, and one session of this rule takes 16777216 already)"},
        {with("\"allow\"}", R"("allow", "limits": {"fds_per_uid": 1}})"),
         R"(p.json:2:130: "fds_per_uid" is 1, and one session of this rule takes 101 already)"},
        {with("\"allow\"}", R"("allow", "limits": {"sessions_per_uid": 65}})"),
         R"(p.json:2:135: "sessions_per_uid" must be from 1 to 64, not 65)"},
        {with("\"allow\"}", R"("allow", "limits": {"buffers": 65537}})"),
         R"(p.json:2:126: "buffers" must be from 0 to 65536, not 65537)"},
        {with("\"allow\"}", R"("allow", "limits": {"deadline_ms": 0}})"),
         R"(p.json:2:130: "deadline_ms" must be from 1 to 86400000, not 0)"},
        {with("\"allow\"}", R"("allow", "limits": {"best_priority": 256}})"),
         R"(p.json:2:132: "best_priority" must be from 0 to 255, not 256)"},
        {with("\"allow\"}", R"("allow", "limits": {"stack_bytes": 16777217}})"),
         R"(p.json:2:130: "stack_bytes" must be from 0 to 16777216, not 16777217)"},
        {with("\"allow\"}", R"("allow", "limits": {"directories": 9}})"),
         R"(p.json:2:130: "directories" must be from 0 to 8, not 9)"},
        {with("\"allow\"}", R"("allow", "limits": {"directories": -1}})"),
         R"(p.json:2:130: "directories" must be from 0 to 8, not -1)"},
        {with("\"allow\"}", R"("allow", "limits": {"directories": ["/usr/lib/dsp"]}})"),
         R"(p.json:2:130: "directories" must be a whole number, not an array)"},
        {with("\"allow\"}", R"("allow", "limits": {"directories": null}})"),
         R"(p.json:2:130: "directories" must be a whole number, not null)"},
        {with("\"allow\"}", R"("allow", "limits": {"directories": "*"}})"),
         R"(p.json:2:130: "directories" must be a whole number, not a string)"},
        {with("\"allow\"}", R"("allow", "limits": {"directory": 1}})"),
         R"(p.json:2:115: "limits" has no key "directory" (did you mean "directories"?))"},
        {with("\"allow\"}", R"("allow", "directories": 1})"),
         R"(p.json:2:104: a rule has no key "directories" (known: "name", "description", "priority", "subject", "domains", "kinds", "nodes", "modules", "module_sha256", "effect", "limits", "attributes", "trusted", "narrows", "audit"))"},
        {with("\"allow\"}", R"("deny", "limits": {"directories": 0}})"),
         R"(p.json:2:103: only a rule that allows or asks has "limits"; leave it out)"},
        {with("\"allow\"}", R"("allow", "limits": {"directories": 8, "fds_per_uid": 107}})"),
         R"(p.json:2:148: "fds_per_uid" is 107, and one session of this rule takes 108 already)"},
        {with("\"allow\"}", R"("allow", "limits": {"queue_ms": 0.5}})"),
         R"(p.json:2:127: "queue_ms" must be a whole number, not a fraction or a number out of range)"},
        {with("\"allow\"}", R"("allow", "limits": {"lanes": 1, "lanes": 2}})"),
         R"(p.json:2:127: the key "lanes" is here twice; first in line 2)"},
        {with("\"allow\"}", R"("allow", "attributes": ["crc", "crc"]})"),
         R"(p.json:2:126: "crc" is here twice; leave one out)"},
        {with("\"allow\"}", R"("allow", "attributes": ["unsigned-module"]})"),
         R"(p.json:2:119: there is no attribute "unsigned-module" (known: "debug", "ptrace", "crc", "adaptive-qos", "system-process", "privileged"))"},
        {with("\"allow\"}", R"("allow", "attributes": ["previleged"]})"),
         R"(p.json:2:119: there is no attribute "previleged" (did you mean "privileged"?))"},
        {with("\"allow\"}", R"("allow", "attributes": [4]})"),
         "p.json:2:119: an attribute must be a string, not a whole number"},
        {with("\"allow\"}", R"("allow", "trusted": 1})"),
         R"(p.json:2:115: "trusted" must be true or false, not a whole number)"},
    });
}
