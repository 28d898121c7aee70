// Help, man page and the three completions speak of the same verbs and options; what has one more, or one less, fails
// here.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::lines_of;

namespace {

const std::string source = SOURCE_ROOT;

struct Verb {
    std::vector<std::string> words; ///< {"policy", "list"}
    std::set<std::string> options;  ///< "--missing", "-f"
    std::vector<std::string> subverbs;
};

std::string read(const std::string& path) {
    std::ifstream in(source + '/' + path);
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_FALSE(text.str().empty()) << path;
    return text.str();
}

// Of --help: options stand in "Options:", verbs in "Subcommands:", each indented by two.
Verb help_of(PrivateSystem& system, std::vector<std::string> words) {
    Verb verb{words, {}, {}};
    words.emplace_back("--help");
    const Outcome outcome = system.ctl(std::move(words));
    EXPECT_EQ(outcome.code, 0);
    std::string section;
    const std::regex option("(?:^  |,)(--?[a-z][a-z-]*)"), name("^  ([a-z]+) .*");
    for (const std::string& line : lines_of(outcome.output)) {
        if (!line.empty() && line.front() != ' ') section = line;
        std::smatch part;
        if (section == "Subcommands:" && std::regex_match(line, part, name)) verb.subverbs.push_back(part[1]);
        if (section != "Options:" || !line.starts_with("  -")) continue;
        const std::string head = line.substr(0, line.find(' ', 2));
        for (std::sregex_iterator found(head.begin(), head.end(), option), end; found != end; ++found)
            verb.options.insert((*found)[1]);
        if (std::regex_search(head, part, std::regex("(?:^|  |,)(-[A-Za-z])(?:,|$)"))) verb.options.insert(part[1]);
    }
    return verb;
}

std::vector<Verb> all_verbs(PrivateSystem& system) {
    std::vector<Verb> all{help_of(system, {})};
    for (std::size_t i = 0; i < all.size(); ++i)
        for (const std::string& sub : std::vector<std::string>(all[i].subverbs)) {
            std::vector<std::string> words = all[i].words;
            words.push_back(sub);
            all.push_back(help_of(system, std::move(words)));
        }
    return all;
}

bool word_in(const std::string& text, const std::string& word) {
    for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; };
        const bool begins = at == 0 || !is_word(text[at - 1]) || word.front() == '-';
        if (begins && !is_word(text[at + word.size()])) return true;
    }
    return false;
}

// How fish says an option: "-l missing", "-s f".
std::string in_fish(const std::string& option) {
    return option.starts_with("--") ? "-l " + option.substr(2) : "-s " + option.substr(1);
}

class CtlCompletion : public testing::Test {
protected:
    PrivateSystem system{{.start = false}};
    std::vector<Verb> verbs = all_verbs(system);
};

} // namespace

TEST_F(CtlCompletion, help_names_the_verbs_that_there_are) {
    ASSERT_GE(verbs.size(), 30U);
    EXPECT_TRUE(verbs[0].options.contains("--json"));
    EXPECT_TRUE(verbs[0].options.contains("-H"));
}

TEST_F(CtlCompletion, every_verb_and_option_is_in_the_man_page_and_in_each_completion) {
    const std::string man = read("docs/man/fastrpcctl.1.scd"), bash = read("ctl/completion/fastrpcctl"),
                      zsh = read("ctl/completion/_fastrpcctl"), fish = read("ctl/completion/fastrpcctl.fish");
    for (const Verb& verb : verbs) {
        std::string path;
        for (const std::string& word : verb.words) path += (path.empty() ? "" : " ") + word;
        if (!verb.words.empty()) {
            const std::string last = verb.words.back();
            EXPECT_TRUE(man.find('*' + path + '*') != man.npos || !verb.subverbs.empty()) << "man page: " << path;
            for (const auto& [name, text] :
                 {std::pair("bash", &bash), std::pair("zsh", &zsh), std::pair("fish", &fish)})
                EXPECT_TRUE(word_in(*text, last)) << name << ": " << path;
        }
        for (const std::string& option : verb.options) {
            EXPECT_TRUE(word_in(man, option)) << "man page: " << path << ' ' << option;
            EXPECT_TRUE(word_in(bash, option)) << "bash: " << path << ' ' << option;
            EXPECT_TRUE(word_in(zsh, option)) << "zsh: " << path << ' ' << option;
            EXPECT_TRUE(word_in(fish, in_fish(option))) << "fish: " << path << ' ' << option;
        }
    }
}

TEST_F(CtlCompletion, completions_speak_of_no_option_that_is_gone) {
    std::set<std::string> known;
    for (const Verb& verb : verbs) known.insert(verb.options.begin(), verb.options.end());
    for (const char* path : {"ctl/completion/fastrpcctl", "docs/man/fastrpcctl.1.scd"}) {
        const std::string text = read(path);
        const std::regex option("[ '*|](--[a-z][a-z-]+)");
        for (std::sregex_iterator found(text.begin(), text.end(), option), end; found != end; ++found)
            EXPECT_TRUE(known.contains((*found)[1])) << path << ": " << (*found)[1];
    }
}

TEST_F(CtlCompletion, bash_completes_verbs_options_and_verbs_of_groups) {
    const auto complete = [&](const std::string& line) {
        const std::string script = "source " + source + "/ctl/completion/fastrpcctl; COMP_WORDS=(" + line +
                                   "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _fastrpcctl; echo \"${COMPREPLY[@]}\"";
        std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(("bash -c '" + script + "'").c_str(), "r"), ::pclose);
        std::array<char, 4096> text{};
        return std::string(std::fgets(text.data(), text.size(), pipe.get()) != nullptr ? text.data() : "");
    };
    EXPECT_EQ(complete("fastrpcctl dom"), "domain\n");
    EXPECT_EQ(complete("fastrpcctl policy re"), "reload\n");
    EXPECT_EQ(complete("fastrpcctl --json policy ex"), "explain\n");
    EXPECT_EQ(complete("fastrpcctl files --mis"), "--missing\n");
    EXPECT_EQ(complete("fastrpcctl top --sort by"), "bytes\n");
}
