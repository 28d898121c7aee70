// Manual pages beside what they describe: options beside --help, keys of files beside the schemas that the files obey.
#include "tests/support/shell.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace fastrpc::test {
namespace {

using nlohmann::json;

std::string text_of(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string page(const std::string& name) {
    const std::string text = text_of(SOURCE_ROOT "/docs/man/" + name + ".scd");
    EXPECT_GT(text.size(), 500U) << name;
    return text;
}

/// First groups of all matches, line by line.
std::set<std::string> all(const std::string& text, const std::string& pattern) {
    std::set<std::string> found;
    const std::regex expression(pattern);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        for (std::sregex_iterator it(line.begin(), line.end(), expression), end; it != end; ++it)
            found.insert((*it)[1]);
    return found;
}

struct Program {
    const char* path;
    const char* page;
};

class Help : public testing::TestWithParam<Program> {
protected:
    static std::string help(const std::string& subcommand = "") {
        const Outcome ran = shell(std::string("'") + GetParam().path + "' " + subcommand + " --help");
        EXPECT_EQ(ran.code, 0) << ran.output;
        return ran.output;
    }
};

TEST_P(Help, has_the_options_of_the_manual_page_and_no_others) {
    const auto offered = all(help(), "^ +(?:-[a-z],)?(--[a-z-]+)");
    EXPECT_GT(offered.size(), 5U);
    // A definition is a line of terms; a use in a sentence is indented.
    std::set<std::string> described;
    for (const std::string& line : all(page(GetParam().page), "^(\\*--?[a-z].*)$"))
        for (const std::string& option : all(line, "\\*(--[a-z-]+)\\*")) described.insert(option);
    EXPECT_EQ(described, offered);
}

TEST_P(Help, has_the_subcommands_of_the_manual_page) {
    std::string listed = help();
    if (listed.find("\n  ctl ") != std::string::npos) listed += help("ctl");
    std::set<std::string> offered;
    std::istringstream lines(listed);
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(' ')) inside = line == "Subcommands:";
        if (inside)
            for (const std::string& name : all(line, "^  ([a-z]+) ")) offered.insert(name);
    }
    const std::string text = page(GetParam().page);
    const auto from = text.find("# COMMANDS");
    std::set<std::string> described;
    if (from != std::string::npos)
        for (const std::string& line : all(text.substr(from, text.find("# FILES") - from), "^(\\*[a-z].*)$"))
            for (const std::string& name : all(line, "(?:^|, )\\*([a-z]+)\\*")) described.insert(name);
    EXPECT_EQ(described, offered);
}

INSTANTIATE_TEST_SUITE_P(Programs, Help,
                         testing::Values(Program{FASTRPCD_PROGRAM, "fastrpcd.8"},
                                         Program{FASTRPC_PD_PROGRAM, "fastrpc-pd.8"},
                                         Program{FASTRPC_VDSP_PROGRAM, "fastrpc-vdsp.1"}));

struct Format {
    const char* schema;
    const char* page;
};

class Schema : public testing::TestWithParam<Format> {
protected:
    const json schema = json::parse(text_of(std::string(SOURCE_ROOT "/config/schema/") + GetParam().schema));
    const std::string text = page(GetParam().page);

    using Visit = std::function<void(const std::string& key, const json& what)>;
    static void properties(const json& in, const Visit& visit) {
        if (!in.is_structured()) return;
        if (in.is_object() && in.contains("properties"))
            for (const auto& [key, what] : in["properties"].items())
                if (what.is_object()) visit(key, what);
        for (const json& part : in) properties(part, visit);
    }
    [[nodiscard]] bool has_line(const std::string& line) const {
        return text.find("\n" + line + "\n") != std::string::npos;
    }
};

TEST_P(Schema, keys_are_those_of_the_manual_page) {
    std::set<std::string> keys;
    properties(schema, [&](const std::string& key, const json&) { keys.insert(key); });
    EXPECT_GT(keys.size(), 15U);
    const auto from = text.find("# KEYS");
    EXPECT_EQ(all(text.substr(from, text.find("# EXAMPLE") - from), "^\\*([a-z$][A-Za-z0-9_]*)\\*"), keys);
}

TEST_P(Schema, numbers_have_the_ranges_and_defaults_of_the_manual_page) {
    unsigned numbers = 0;
    properties(schema, [&](const std::string& key, const json& what) {
        if (what.value("type", "") != "integer") return;
        ++numbers;
        const std::string line = "*" + key + "* (" + what["minimum"].dump() + " to " + what["maximum"].dump() +
                                 ", default " + what["default"].dump() + ")";
        EXPECT_TRUE(has_line(line)) << line;
    });
    EXPECT_GT(numbers, 5U);
}

TEST_P(Schema, words_that_a_key_may_have_are_in_the_manual_page) {
    unsigned words = 0;
    const std::function<void(const json&)> visit = [&](const json& in) {
        if (!in.is_structured()) return;
        if (in.is_object() && in.contains("enum"))
            for (const json& word : in["enum"]) {
                ++words;
                EXPECT_NE(text.find("_" + word.get<std::string>() + "_"), std::string::npos) << word;
            }
        for (const json& part : in) visit(part);
    };
    visit(schema);
    EXPECT_GT(words, 10U);
}

INSTANTIATE_TEST_SUITE_P(Files, Schema,
                         testing::Values(Format{"policy.schema.json", "fastrpcd-policy.5"},
                                         Format{"pd.schema.json", "fastrpcd-pd.d.5"}));

TEST(ThreatModel, names_a_test_that_there_is_for_each_thing_that_must_never_happen) {
    std::set<std::string> tests;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(SOURCE_ROOT "/tests")) {
        if (entry.path().extension() != ".cpp") continue;
        const std::string source = text_of(entry.path());
        const std::regex test("TEST(_F|_P)?\\(([A-Za-z]+),\\s+([a-z0-9_]+)\\)");
        for (std::sregex_iterator it(source.begin(), source.end(), test), end; it != end; ++it)
            tests.insert((*it)[2].str() + "." + (*it)[3].str());
    }
    std::istringstream lines(text_of(SOURCE_ROOT "/docs/threat-model.md"));
    unsigned promises = 0;
    for (std::string line; std::getline(lines, line);) {
        if (!std::regex_search(line, std::regex("^\\| [1-8] \\| "))) continue;
        ++promises;
        const auto named = all(line, "`([A-Za-z]+\\.[a-z0-9_]+)`");
        EXPECT_FALSE(named.empty()) << line;
        for (const std::string& test : named) EXPECT_TRUE(tests.contains(test)) << test << " is no test";
    }
    EXPECT_EQ(promises, 8U);
}

} // namespace
} // namespace fastrpc::test
