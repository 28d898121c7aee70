// What the loader takes and what it refuses; the words of each mistake are in malformed_test.cpp.
#include "fixture.hpp"

#include "settings/drop_ins.hpp"
#include "settings/located_json.hpp"

#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::test;
using namespace fastrpc::settings;

namespace {

using Loader = PolicyFiles;

} // namespace

TEST_F(Loader, columns_count_characters_and_escapes_do_not_confuse_them) {
    EXPECT_EQ(error_of(R"({"$schema": "äöü€😀", "x": 1, "rules": []})"),
              "p.json:1:22: a policy file has no key \"x\" (known: \"$schema\", \"running_sessions\", \"rules\")");
    EXPECT_EQ(error_of(R"({"$schema": "a\"b\\", "x": 1, "rules": []})"),
              "p.json:1:23: a policy file has no key \"x\" (known: \"$schema\", \"running_sessions\", \"rules\")");
    EXPECT_EQ(error_of("{\r\n\t\"x\": [1, -2.5, true, null, \"]\"]}"),
              "p.json:2:2: a policy file has no key \"x\" (known: \"$schema\", \"running_sessions\", \"rules\")");
}

TEST(LocatedJson, every_value_knows_where_it_stands) {
    const auto root =
        settings::parse_located("f", "{ \"a\":12,\n  \"b\": [true,-3 , \"x\", {\"c\":null}],\n\"d\":1.5}");
    ASSERT_TRUE(root) << root.error().text;
    const auto at = [](const settings::JsonValue& value) { return std::pair(value.place.line, value.place.column); };
    EXPECT_EQ(at(*root), std::pair(1U, 1U));
    EXPECT_EQ(root->find("a")->place.column, 3U);
    EXPECT_EQ(at(root->find("a")->value), std::pair(1U, 7U));
    const auto& items = root->find("b")->value.items;
    ASSERT_EQ(items.size(), 4U);
    EXPECT_EQ(at(root->find("b")->value), std::pair(2U, 8U));
    EXPECT_EQ(at(items[0]), std::pair(2U, 9U));
    EXPECT_EQ(at(items[1]), std::pair(2U, 14U));
    EXPECT_EQ(items[1].integer, -3);
    EXPECT_EQ(at(items[2]), std::pair(2U, 19U));
    EXPECT_EQ(at(items[3]), std::pair(2U, 24U));
    EXPECT_EQ(at(items[3].find("c")->value), std::pair(2U, 29U));
    EXPECT_EQ(at(root->find("d")->value), std::pair(3U, 5U));
    EXPECT_EQ(root->find("e"), nullptr);
}

TEST_F(Loader, deep_nesting_is_refused_and_the_limit_itself_is_not) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_TRUE(settings::parse_located("f", nested(16)));
    const auto deeper = settings::parse_located("f", nested(17));
    ASSERT_FALSE(deeper);
    EXPECT_EQ(deeper.error().text, "f:1:17: nested deeper than 16 levels");
    EXPECT_EQ(error_of(std::string(1000000, '[')), "p.json:1:17: nested deeper than 16 levels");
    std::string objects;
    for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
    EXPECT_EQ(error_of(objects), "p.json:1:81: nested deeper than 16 levels");
}

TEST_F(Loader, an_object_of_very_many_keys_is_refused) {
    std::string text = "{";
    for (int i = 0; i < 100000; ++i) text.append("\"").append(std::to_string(i)).append("\":1,");
    EXPECT_EQ(error_of(text).substr(0, 45), "p.json:1:440: an object of more than 64 keys");
}

TEST_F(Loader, a_file_of_a_mebibyte_is_read_and_a_larger_one_is_refused) {
    std::string text = file_of({});
    text.append((1U << 20) - text.size(), ' ');
    EXPECT_EQ(error_of(text), "");
    EXPECT_EQ(error_of(text + " "), "p.json: larger than 1048576 bytes; split it into several files");
    EXPECT_EQ(error_of(text + text + text), "p.json: larger than 1048576 bytes; split it into several files");
}

TEST_F(Loader, the_number_and_the_sum_of_files_have_bounds) {
    for (int i = 0; i < 1024; ++i) write(std::to_string(i) + ".json", file_of({}));
    ASSERT_TRUE(load());
    add_directory("b");
    write("0.json", file_of({}), 1); // masks, and is no other
    ASSERT_TRUE(load());
    write("one-more.json", file_of({}), 1);
    Result<Policy> policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().kind, ErrorKind::invalid);
    EXPECT_EQ(policy.error().text, directories_[1] + ": with it there are more than 1024 files; put several into one");

    add_directory("c");
    directories_.erase(directories_.begin(), directories_.begin() + 2);
    std::string mebibyte = file_of({});
    mebibyte.append((1U << 20) - mebibyte.size(), ' ');
    for (int i = 10; i < 26; ++i) write(std::to_string(i) + ".json", mebibyte);
    ASSERT_TRUE(load());
    const std::string path = write("26.json", " ");
    policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().kind, ErrorKind::invalid);
    EXPECT_EQ(policy.error().text, path + ": with it the files are larger than 16777216 bytes together");
}

TEST_F(Loader, random_garbage_is_refused_and_never_crashes) {
    const std::string good = with("r", "r");
    for (std::size_t cut = 0; cut + 2 < good.size(); ++cut)
        EXPECT_FALSE(settings::parse_located("f", std::string_view(good).substr(0, cut))) << cut;
    std::uint32_t seed = 1;
    const auto random = [&seed](std::size_t below) {
        seed = seed * 1664525 + 1013904223;
        return (seed >> 8) % below;
    };
    for (int round = 0; round < 20000; ++round) {
        std::string text = good;
        for (std::size_t i = 0; i <= random(4); ++i) text[random(text.size())] = static_cast<char>(random(256));
        const auto parsed = settings::parse_located("f", text);
        if (!parsed) {
            EXPECT_EQ(parsed.error().text.substr(0, 2), "f:");
        }
    }
}

TEST_F(Loader, a_file_masks_its_namesake_in_an_earlier_directory) {
    add_directory("b");
    add_directory("c");
    const auto one = [](const std::string& name) {
        return file_of({rule(name, R"("any": true)", R"("cdsp")", R"("signed")", "allow")});
    };
    const Object object{Domain::cdsp, PdKind::signed_user};
    write("50-x.json", one("from-a"), 0);
    write("60-y.json", one("kept"), 0);
    write("50-x.json", one("from-b"), 1);
    Result<Policy> policy = load();
    ASSERT_TRUE(policy) << policy.error().text;
    EXPECT_EQ(policy->rules(), 2U);
    EXPECT_EQ(policy->decide({1, {}, ""}, object).rule, "from-b");
    EXPECT_EQ(policy->decide({1, {}, ""}, object).file, directories_[1] + "/50-x.json");
    // An empty list masks, too, and a masked file may be broken.
    write("50-x.json", "garbage", 0);
    write("50-x.json", file_of({}), 2);
    policy = load();
    ASSERT_TRUE(policy) << policy.error().text;
    EXPECT_EQ(policy->rules(), 1U);
    EXPECT_EQ(policy->decide({1, {}, ""}, object).rule, "kept");
}

TEST_F(Loader, other_suffixes_hidden_files_and_missing_directories_are_passed_over) {
    write("x.json~", "garbage");
    write("README", "garbage");
    write(".x.json", "garbage");
    directories_.push_back(scratch_.path("not-there"));
    const Result<Policy> policy = load();
    ASSERT_TRUE(policy) << policy.error().text;
    EXPECT_EQ(policy->rules(), 0U);
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(Loader, one_broken_file_fails_the_whole_load) {
    write("10-good.json", file_of({rule("x", R"("any": true)", R"("cdsp")", R"("signed")", "allow")}));
    write("20-bad.json", "{\"rules\": [}");
    const Result<Policy> policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().kind, ErrorKind::invalid);
    EXPECT_NE(policy.error().text.find("/20-bad.json:1:12: syntax error"), std::string::npos) << policy.error().text;
}

TEST_F(Loader, a_rule_name_is_unique_over_all_files) {
    write("10-a.json", file_of({rule("x", R"("any": true)", R"("cdsp")", R"("signed")", "allow")}));
    write("20-b.json", file_of({rule("x", R"("any": true)", R"("cdsp")", R"("signed")", "deny")}));
    const Result<Policy> policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().text, directories_[0] + "/20-b.json:2:2: a rule \"x\" exists already at " +
                                       directories_[0] + "/10-a.json:2; give one of them another name");
}

TEST_F(Loader, a_file_or_directory_that_others_can_write_is_refused) {
    const std::string path = write("p.json", file_of({}));
    for (const ::mode_t mode : {0664U, 0646U, 0666U}) {
        ::chmod(path.c_str(), mode);
        const Result<Policy> policy = load();
        ASSERT_FALSE(policy) << mode;
        EXPECT_EQ(policy.error().kind, ErrorKind::denied);
        EXPECT_NE(policy.error().text.find(path + ": mode 06"), std::string::npos) << policy.error().text;
        EXPECT_NE(policy.error().text.find("chmod go-w " + path), std::string::npos) << policy.error().text;
    }
    ::chmod(path.c_str(), 0644);
    EXPECT_TRUE(load());
    ::chmod(directories_[0].c_str(), 0777);
    const Result<Policy> policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().text,
              directories_[0] + ": mode 0777 lets others than its owner write it: chmod go-w " + directories_[0]);
}

TEST_F(Loader, a_file_of_another_user_is_refused) {
    struct stat st {};
    st.st_mode = S_IFREG | 0644;
    st.st_uid = 0;
    EXPECT_TRUE(settings::check_trust("p", st));
    st.st_uid = ::geteuid();
    EXPECT_TRUE(settings::check_trust("p", st));
    st.st_uid = ::geteuid() + 1;
    const Status refused = settings::check_trust("p", st);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::denied);
    EXPECT_EQ(refused.error().text,
              "p: belongs to uid " + std::to_string(st.st_uid) + "; configuration must belong to root: chown root p");
    if (::geteuid() != 0) return; // only root can give a file away; the rule itself was tested above
    const std::string path = write("p.json", file_of({}));
    ASSERT_EQ(::chown(path.c_str(), 1234, 0), 0);
    EXPECT_FALSE(load());
    ASSERT_EQ(::chown(path.c_str(), 0, 1234), 0);
    EXPECT_TRUE(load());
    ASSERT_EQ(::chown(directories_[0].c_str(), 1234, 0), 0);
    EXPECT_FALSE(load());
}

TEST_F(Loader, only_regular_files_are_read) {
    const std::string path = directories_[0] + "/p.json";
    std::filesystem::create_symlink("/dev/null", path);
    Result<Policy> policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().text, path + ": a symbolic link; configuration must be regular files");
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().text, path + ": not a regular file; configuration must be regular files");
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0644), 0); // must not block
    policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().text, path + ": not a regular file; configuration must be regular files");
}

TEST_F(Loader, a_directory_that_is_none_is_an_error) {
    directories_.push_back(write("file", ""));
    const Result<Policy> policy = load();
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().text, directories_[1] + ": Not a directory");
}

TEST_F(Loader, an_allow_that_can_never_allow_is_a_warning) {
    good(with("[\"cdsp\"]", "[\"adsp\", \"sdsp\"]"));
    ASSERT_EQ(warnings_.size(), 1U);
    EXPECT_EQ(warnings_[0],
              directories_[0] + "/p.json:2:41: rule \"r\" allows nothing: these domains have no unsigned PDs");
    good(with("[\"cdsp\"]", "[\"adsp\", \"cdsp\"]"));
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(Loader, rules_of_two_files_whose_order_decides_are_a_warning_that_names_both) {
    const std::string first =
        write("10-a.json", file_of({rule("fast", R"("groups": [50])", R"("cdsp", "adsp")", R"("signed")", "allow")}));
    const auto warning_of = [&](const std::string& second) {
        write("20-b.json", file_of({second}));
        EXPECT_TRUE(load());
        return warnings_.empty() ? "" : warnings_[0];
    };
    EXPECT_EQ(warning_of(rule("no-bob", R"("users": [1001])", R"("cdsp")", R"("signed", "root")", "deny")),
              directories_[0] + "/20-b.json:2:2: rule \"no-bob\" denies some of what rule \"fast\" (" + first +
                  ":2) allows, at the same priority; \"fast\" comes first, as its file does: give the one that is to "
                  "decide a higher \"priority\"");
    EXPECT_EQ(warnings_.size(), 1U);
    const std::string bob = R"("users": [1001])", cdsp = R"("cdsp")", all_signed = R"("signed")";
    EXPECT_EQ(warning_of(rule("no-bob", bob, cdsp, all_signed, "deny", R"("priority": 1)")), "");
    EXPECT_EQ(warning_of(rule("bob", bob, cdsp, all_signed, "allow")), "");
    EXPECT_EQ(warning_of(rule("no-bob", bob, R"("sdsp")", all_signed, "deny")), "");
    EXPECT_EQ(warning_of(rule("no-bob", bob, cdsp, R"("root")", "deny")), "");
    // Asking is neither allowing nor denying.
    EXPECT_NE(warning_of(rule("ask-bob", bob, cdsp, all_signed, "ask")).find("\"ask-bob\" asks polkit about some of "),
              std::string::npos);
    // Labels, modules, hashes and nodes that have nothing in common.
    const auto both = [&](const std::string& one_who, const std::string& one_more, const std::string& other_who,
                          const std::string& other_more) {
        write("10-a.json", file_of({rule("fast", one_who, cdsp, all_signed, "allow", one_more)}));
        return !warning_of(rule("no", other_who, cdsp, all_signed, "deny", other_more)).empty();
    };
    const std::string labels = R"("labels": ["a*", "b"])", none = R"("priority": 0)";
    const std::string hash_a = R"("module_sha256": [")" + std::string(64, 'a') + "\"]",
                      hash_b = R"("module_sha256": [")" + std::string(64, 'b') + "\"]";
    EXPECT_TRUE(both(labels, none, bob, none));
    EXPECT_TRUE(both(labels, none, R"("labels": ["*c"])", none));
    EXPECT_FALSE(both(labels, none, R"("labels": ["c*"])", none));
    EXPECT_TRUE(both(bob, R"("modules": ["x*"])", bob, none));
    EXPECT_TRUE(both(bob, R"("modules": ["x*"])", bob, R"("modules": ["y", "xy"])"));
    EXPECT_FALSE(both(bob, R"("modules": ["x*"])", bob, R"("modules": ["y"])"));
    EXPECT_TRUE(both(bob, hash_a, bob, hash_a));
    EXPECT_FALSE(both(bob, hash_a, bob, hash_b));
    EXPECT_TRUE(both(bob, R"("nodes": ["misc"])", bob, none));
    EXPECT_FALSE(both(bob, R"("nodes": ["misc"])", bob, R"("nodes": ["accel"])"));
    // In one file the order is there to be seen.
    std::filesystem::remove(first);
    write("20-b.json", file_of({rule("fast", R"("groups": [50])", cdsp, all_signed, "allow"),
                                rule("no-bob", bob, cdsp, all_signed, "deny")}));
    EXPECT_TRUE(load());
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(Loader, very_many_such_rules_do_not_fill_the_log) {
    std::vector<std::string> denials;
    for (int i = 0; i < 50; ++i)
        denials.push_back(rule(std::string("no").append(std::to_string(i)), "\"users\": [" + std::to_string(i) + "]",
                               R"("cdsp")", R"("signed")", "deny"));
    write("10-a.json", file_of({rule("all", R"("any": true)", R"("cdsp")", R"("signed")", "allow")}));
    write("20-b.json", file_of(denials));
    EXPECT_TRUE(load());
    ASSERT_EQ(warnings_.size(), 21U);
    EXPECT_EQ(warnings_.back(), "and 30 more pairs of such rules of equal priority");
}

TEST_F(Loader, the_revision_is_that_of_the_content) {
    const Policy a = good(with("r", "r"));
    const Policy same = good(with("r", "r"));
    const Policy other = good(with("allow", "deny"));
    EXPECT_EQ(a.revision(), same.revision());
    EXPECT_NE(a.revision(), other.revision());
    EXPECT_NE(a.revision(), 0U);
}
