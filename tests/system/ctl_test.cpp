// fastrpcctl on the booted machine: every verb in its three forms, as each kind of user.
#include "tests/system/machine.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* service = "a service with a user of its own, in group fastrpc";

enum class Form {
    answer,  ///< JSON on one line, or indented
    show,    ///< the same, and KEY=VALUE lines with the same keys as text
    lines,   ///< one JSON object on each line, in both forms
    document ///< JSON even as text
};

struct Verb {
    const char* line; ///< SESSION stands for the id of a session of `member`
    Form form = Form::answer;
    int code_of_root = 0, code_of_member = 0, code_of_stranger = 0;
};

/// What each verb that only asks ends with. 1 is "no": of the shipped policy, which knows nothing of root; of the
/// journal, which is not everybody's; of the doctor, who sees no virtual DSP without the shim. 2 is a session that is
/// somebody else's, and so not there, or a question about others.
constexpr std::array verbs{
    Verb{"list"},
    Verb{"status"},
    Verb{"status cdsp"},
    Verb{"status adsp/audio"},
    Verb{"status SESSION", Form::answer, 0, 0, 2},
    Verb{"show", Form::show},
    Verb{"show cdsp", Form::show},
    Verb{"show adsp/audio", Form::show},
    Verb{"show SESSION", Form::show, 0, 0, 2},
    Verb{"dump", Form::document},
    Verb{"domain list"},
    Verb{"domain status cdsp"},
    Verb{"pd list"},
    Verb{"pd status adsp audio"},
    Verb{"session list"},
    Verb{"session status SESSION", Form::answer, 0, 0, 2},
    Verb{"files"},
    Verb{"files --missing"},
    Verb{"log -n 3", Form::lines, 0, 1, 1},
    Verb{"top --batch -n 1 -d 0.1", Form::lines},
    Verb{"metrics"},
    Verb{"policy explain cdsp unsigned", Form::answer, 1, 0, 1},
    Verb{"policy explain --user stranger", Form::answer, 1, 2, 2},
    Verb{"policy list"},
    Verb{"policy check /usr/lib/fastrpcd/policy.d/50-default.json"},
    Verb{"policy test /usr/share/fastrpcd/policy-tests/50-default.json"},
    Verb{"policy log -n 3", Form::lines, 0, 1, 1},
    Verb{"doctor", Form::answer, 1, 1, 1},
    Verb{"bench --count 1", Form::answer, 1, 0, 1},
};

int code_for(const Verb& verb, const std::string& user) {
    const bool others_session =
        user == service && std::string_view(verb.line).find("SESSION") != std::string_view::npos;
    if (user == stranger || others_session) return verb.code_of_stranger;
    return user == root ? verb.code_of_root : verb.code_of_member;
}

Words words_of(std::string line, const std::string& session) {
    if (const std::size_t at = line.find("SESSION"); at != std::string::npos) line.replace(at, 7, session);
    std::istringstream in(line);
    Words words{"/usr/bin/fastrpcctl"};
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

stack::Outcome run_as(const std::string& user, Words command) {
    if (user != service) return run(as(user, std::move(command)));
    command.insert(command.begin(), {"/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", "--collect",
                                     "--property=DynamicUser=yes", "--property=SupplementaryGroups=fastrpc"});
    return run(std::move(command));
}

std::set<std::string> keys_of(const json& object) {
    std::set<std::string> keys;
    for (const auto& [key, value] : object.items()) keys.insert(key);
    return keys;
}

std::set<std::string> keys_of_lines(const std::string& text) {
    std::set<std::string> keys;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) keys.insert(line.substr(0, line.find('=')));
    return keys;
}

bool each_line_is_json(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (!json::accept(line)) return false;
    return true;
}

/// An answer in its three forms, or a refusal in each of them.
void expect_forms(const Verb& verb, const stack::Outcome& text, const stack::Outcome& brief,
                  const stack::Outcome& pretty) {
    if (text.output.empty() && text.code != 0) {
        for (const stack::Outcome* one : {&text, &brief, &pretty}) EXPECT_NE(one->errors, "") << "it says why";
        return;
    }
    if (verb.form == Form::lines) {
        EXPECT_TRUE(each_line_is_json(brief.output)) << brief.output;
        EXPECT_TRUE(each_line_is_json(pretty.output)) << pretty.output;
        return;
    }
    EXPECT_EQ(std::ranges::count(brief.output, '\n'), 1) << brief.output;
    EXPECT_GT(std::ranges::count(pretty.output, '\n'), 1) << pretty.output;
    const json one = json::parse(brief.output, nullptr, false), other = json::parse(pretty.output, nullptr, false);
    ASSERT_FALSE(one.is_discarded()) << brief.output;
    ASSERT_FALSE(other.is_discarded()) << pretty.output;
    EXPECT_EQ(keys_of(one), keys_of(other));
    EXPECT_NE(text.output, "");
    EXPECT_EQ(json::accept(text.output), verb.form == Form::document) << text.output;
    if (verb.form == Form::show) {
        EXPECT_EQ(keys_of(one), keys_of_lines(text.output));
    }
}

/// A session of `member`, which calls as long as the object lives, and is gone after it.
class Load {
public:
    Load() :
        program_(stack::LineProgram::start({.command = as(member, caller({"--calls", "0", "--label", "verbs"}))})) {
        if (program_ && program_->line() == "calling")
            for (const json& each : ctl(root, {"list"}).value("sessions", json::array()))
                if (each.value("label", "") == "verbs") id = each.value("id", "");
        EXPECT_NE(id, "") << ctl(root, {"list"});
    }
    ~Load() {
        if (program_) program_->end_input();
        const auto gone = [&] { return ctl(root, {"list"}).dump().find(id) == std::string::npos; };
        EXPECT_TRUE(id.empty() || eventually(gone)) << id;
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    std::string line() { return program_->line(); }
    /// Calls no more; what it has to say about it.
    json end() {
        program_->end_input();
        return json::parse(program_->line(), nullptr, false);
    }
    std::string id;

private:
    Result<stack::LineProgram> program_;
};

void ask_everything(const std::vector<std::string>& users) {
    const Load load;
    ASSERT_NE(load.id, "");
    int answers = 0;
    for (const std::string& user : users)
        for (const Verb& verb : verbs) {
            const std::string who = user.empty() ? "root" : user;
            SCOPED_TRACE(who + ": " + verb.line);
            std::array<stack::Outcome, 3> outcomes;
            for (std::size_t form = 0; form < outcomes.size(); ++form) {
                Words words = words_of(verb.line, load.id);
                if (form > 0) words.emplace_back(form == 1 ? "--json=short" : "--json=pretty");
                outcomes[form] = run_as(user, std::move(words));
                EXPECT_EQ(outcomes[form].code, code_for(verb, user)) << outcomes[form].output << outcomes[form].errors;
                ++answers;
            }
            expect_forms(verb, outcomes[0], outcomes[1], outcomes[2]);
        }
    std::printf("%zu verbs in three forms as %zu kinds of user: %d answers\n", verbs.size(), users.size(), answers);
}

/// An order in each form by the one who may, and refused to the others.
void order(const std::string& line, const std::vector<std::string>& refused) {
    for (const std::string& user : refused)
        for (const char* form : {"--no-pager", "--json=short", "--json=pretty"}) {
            Words words = words_of(line, "");
            words.emplace_back(form);
            const stack::Outcome done = run_as(user, std::move(words));
            EXPECT_EQ(done.code, 1) << user << ": " << line << ' ' << form << done.output << done.errors;
            EXPECT_NE(done.errors.find("fastrpcctl: "), std::string::npos) << line << ": " << done.errors;
        }
    for (const char* form : {"--no-pager", "--json=short", "--json=pretty"}) {
        Words words = words_of(line, "");
        words.emplace_back(form);
        const stack::Outcome done = run(words);
        EXPECT_EQ(done.code, 0) << line << ' ' << form << done.output << done.errors;
        EXPECT_EQ(json::accept(done.output), std::string(form) != "--no-pager") << done.output;
    }
}

} // namespace

TEST(Ctl, every_verb_answers_in_its_three_forms_as_each_kind_of_user) {
    ask_everything({root, member, stranger});
}

TEST(CtlService, every_verb_answers_in_its_three_forms_as_a_service_with_a_dynamic_user) {
    if (!bus_knows_dynamic_users()) GTEST_SKIP() << "this bus does not let dynamic users in";
    ask_everything({service});
}

TEST(Ctl, who_may_see_a_session_sees_it_in_the_table_and_nobody_else_does) {
    const Load load;
    for (const auto& [user, seen] : {std::pair(root, true), {member, true}, {stranger, false}})
        for (const char* form : {"--no-legend", "--json=short", "--json=pretty"}) {
            const stack::Outcome list = run_as(user, {"/usr/bin/fastrpcctl", "session", "list", form});
            EXPECT_EQ(list.output.find(load.id) != std::string::npos, seen) << user << ' ' << form << list.output;
        }
    EXPECT_EQ(output({"/usr/bin/fastrpcctl", "show", load.id, "-p", "OwnerUid", "--value"}),
              output({"/usr/bin/id", "-u", member}));
}

TEST(Ctl, orders_are_roots_alone) {
    const std::vector<std::string> others{member, stranger};
    for (const char* line :
         {"pd restart adsp sensors", "pd stop adsp sensors", "pd start adsp sensors", "policy reload"})
        order(line, others);
    EXPECT_TRUE(eventually([] { return pd_state("adsp", "sensors") == "running"; })) << ctl(root, {"list"});
}

TEST(Ctl, a_session_is_ended_by_its_owner_or_root_and_its_client_is_told_by_whom) {
    for (const auto& [user, form] : {std::pair(root, "--no-pager"), {member, "--json=short"}}) {
        Load load;
        for (const char* other : {"--no-pager", "--json=short", "--json=pretty"}) {
            const stack::Outcome refused =
                run_as(stranger, {"/usr/bin/fastrpcctl", "session", "terminate", load.id, other});
            EXPECT_NE(refused.code, 0) << other;
            EXPECT_NE(refused.errors, "") << other;
        }
        const stack::Outcome ended = run_as(user, {"/usr/bin/fastrpcctl", "session", "terminate", load.id, form});
        EXPECT_EQ(ended.code, 0) << ended.errors;
        EXPECT_EQ(load.line(), "failing");
        const json told = load.end();
        std::printf("what the client is told: %s\n", told.value("error", "").c_str());
        EXPECT_NE(told.value("error", "").find("terminate"), std::string::npos) << told;
    }
}

TEST(Ctl, monitor_prints_what_happens_in_each_form_to_everybody) {
    for (const char* user : {root, member, stranger})
        for (const char* form : {"--no-pager", "--json=short", "--json=pretty"}) {
            auto watch = stack::LineProgram::start(
                {.command = as(user, {"/usr/bin/fastrpcctl", "monitor", "--count", "2", form})}, true);
            ASSERT_TRUE(watch) << watch.error().text;
            ASSERT_NE(watch->line().find("listening"), std::string::npos);
            output({"/usr/bin/fastrpcctl", "pd", "restart", "adsp", "sensors"});
            for (int event = 0; event < 2; ++event) {
                const std::string line = watch->line();
                EXPECT_NE(line.find("sensors"), std::string::npos) << form << ": " << line;
                EXPECT_EQ(json::accept(line), std::string(form) != "--no-pager") << line;
            }
            EXPECT_EQ(watch->wait(), 0);
        }
}

TEST(Ctl, run_gives_a_command_its_turn_or_says_why_it_has_none) {
    for (const auto& [user, code] : {std::pair(root, 1), {member, 7}, {stranger, 1}}) {
        const stack::Outcome done = run_as(user, {"/usr/bin/fastrpcctl", "run", "--", "/bin/sh", "-c", "exit 7"});
        EXPECT_EQ(done.code, code) << done.errors;
    }
}
