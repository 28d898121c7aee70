// Rules that ask, and methods of admins, with a real polkitd on the system's bus: what its rules say, what people say,
// and a polkit that is absent or hangs.
#include "tests/integration/polkit.hpp"

#include <cstdlib>
#include <fcntl.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* session_rule = R"({
  "rules": [
    { "name": "free", "subject": { "users": ["nobody"] }, "domains": ["cdsp"], "kinds": ["unsigned"], "effect": "allow",
      "limits": { "lanes": 1, "sessions_per_uid": 64, "opens_per_minute": 60000, "lanes_per_uid": 222, "fds_per_uid": 65536 } },
    { "name": "asks", "subject": { "any": true }, "domains": ["cdsp"], "kinds": ["unsigned"], "effect": "ask",
      "limits": { "lanes": 2, "sessions_per_uid": 64, "opens_per_minute": 60000, "lanes_per_uid": 222, "fds_per_uid": 65536 } }
  ]
})";

// polkit's own part: yes to mail, no to news, and all others are asked to authenticate, as is the default.
constexpr const char* polkit_rules = R"(
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.fastrpc1.") !== 0) return polkit.Result.NOT_HANDLED;
    var opens = action.id == "org.fastrpc1.open-session";
    if (opens && (action.lookup("domain") != "cdsp" || action.lookup("pd") != "unsigned" ||
                  action.lookup("rule") != "asks" || action.lookup("user") != subject.user)) return polkit.Result.NO;
    if (subject.user == "mail") return polkit.Result.YES;
    if (subject.user == "news") return polkit.Result.NO;
    return polkit.Result.NOT_HANDLED;
});
)";

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class PolkitTest : public testing::Test {
protected:
    PolkitTest() {
        policy_.file("50-test.json", session_rule);
        system_ = start_system({.policy = policy_.path(), .root_hosts = false, .polkit = true});
    }
    void start_polkit() { polkit_ = std::make_unique<Polkit>(*system_, polkit_rules); }
    /// A user whose calls allow that people are asked.
    std::unique_ptr<BusUser> user(const std::string& name) {
        auto user = std::make_unique<BusUser>(*system_, uid_of(name));
        user->allow_questions();
        return user;
    }
    /// Runs fastrpcctl as backup, who is asked to authenticate, with an agent of its own.
    struct Told {
        int code = -1;
        std::string errors;
        std::size_t questions = 0;
    };
    Told ctl(bool terminal, Agent::Person person, const std::vector<std::string>& arguments) {
        const UniqueFd ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        std::array<char, 64> name{};
        EXPECT_TRUE(::grantpt(ours.get()) == 0 && ::unlockpt(ours.get()) == 0 &&
                    ::ptsname_r(ours.get(), name.data(), name.size()) == 0);
        const UniqueFd its(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        const UniqueFd errors = directory_.fd("errors", O_RDWR | O_CREAT | O_TRUNC);
        stack::Launch launch = system_->client("ctl/fastrpcctl", arguments, "backup");
        // It starts when the agent is there, which goes by its pid.
        const std::vector<std::string> wait{
            "/bin/sh", "-c", "read go && exec \"$0\" \"$@\"" + std::string(terminal ? "" : " </dev/null")};
        launch.command.insert(launch.command.begin(), wait.begin(), wait.end());
        launch.input = its.get();
        launch.output = launch.log = errors.get();
        auto process = stack::Process::start(launch);
        if (!process) throw std::runtime_error(process.error().text);
        const Agent agent(*system_, uid_of("backup"), person, "C", process->pid());
        EXPECT_EQ(::write(ours.get(), "\n", 1), 1);
        const auto status = process->wait(60s);
        return {status ? stack::exit_code(*status) : -1, read_file(directory_.path("errors")), agent.told().size()};
    }
    bool nothing_charged() {
        return stack::eventually([&] { return charges(*system_) == 0; }, 60s);
    }
    std::uint64_t asking() {
        return ctl_list(*system_).value("totals", json::object()).value("asking", std::uint64_t{99});
    }

    Scratch policy_, directory_;
    System system_;
    std::unique_ptr<Polkit> polkit_;
};

TEST_F(PolkitTest, what_its_rules_say_is_done_without_asking_anybody) {
    start_polkit();
    BusUser mail(*system_, uid_of("mail"));
    auto opened = mail.open();
    ASSERT_EQ(opened.error, "") << opened.text;
    EXPECT_EQ(opened.granted["lanes"], 2U) << "the grant of the rule that asks, and no more";
    BusUser news(*system_, uid_of("news"));
    const auto denied = news.open();
    EXPECT_EQ(denied.error, "AccessDenied");
    EXPECT_TRUE(has(denied.text, "rule \"asks\"") && has(denied.text, "50-test.json:5")) << denied.text;
    EXPECT_TRUE(has(denied.text, "polkit says no")) << denied.text;
    BusUser nobody(*system_, uid_of("nobody"));
    EXPECT_EQ(nobody.open().error, "") << "whom a rule allows is no matter of polkit's";
    opened.session.reset();
    EXPECT_TRUE(nothing_charged());
}

TEST_F(PolkitTest, somebody_who_authenticates_lets_one_session_be_opened) {
    start_polkit();
    const Agent agent(*system_, uid_of("backup"), Agent::Person::authenticates, "de_DE.UTF-8");
    const auto backup = user("backup");
    backup->send([](sd_bus_message* call) {
        return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, "label", "s", "holiday photos");
    });
    auto opened = backup->next();
    ASSERT_EQ(opened.error, "") << opened.text;
    EXPECT_EQ(opened.granted["lanes"], 2U);
    const auto told = agent.told();
    ASSERT_EQ(told.size(), 1U);
    for (const char* part : {"backup", "„holiday photos“", "cdsp", "„unsigned“", "Legitimierung"})
        EXPECT_TRUE(has(told.front(), part)) << told.front();
    EXPECT_EQ(backup->open().error, "");
    EXPECT_EQ(agent.told().size(), 2U) << "each session is asked for";
    opened.session.reset();
    EXPECT_TRUE(nothing_charged());
}

TEST_F(PolkitTest, somebody_who_does_not_want_to_lets_nothing_be_opened) {
    start_polkit();
    for (const auto& [person, why] :
         {std::pair(Agent::Person::fails, "nobody authenticated"), {Agent::Person::dismisses, "dismissed"}}) {
        const Agent agent(*system_, uid_of("backup"), person); // one at a time, as polkit has it
        const auto refused = user("backup")->open();
        EXPECT_EQ(refused.error, "AccessDenied");
        EXPECT_TRUE(has(refused.text, why)) << refused.text;
        EXPECT_EQ(agent.told().size(), 1U);
    }
    EXPECT_TRUE(nothing_charged());
}

TEST_F(PolkitTest, nobody_there_to_ask_is_said_so_and_so_is_a_call_that_does_not_allow_it) {
    start_polkit();
    const auto alone = user("backup")->open();
    EXPECT_EQ(alone.error, "AccessDenied");
    EXPECT_TRUE(has(alone.text, "no authentication agent")) << alone.text;
    const Agent agent(*system_, uid_of("backup"), Agent::Person::authenticates);
    BusUser silent(*system_, uid_of("backup"));
    const auto unasked = silent.open();
    EXPECT_EQ(unasked.error, "AccessDenied");
    EXPECT_TRUE(has(unasked.text, "ALLOW_INTERACTIVE_AUTHORIZATION")) << unasked.text;
    EXPECT_TRUE(agent.told().empty());
    const json result = call(*system_, {"--calls", "1"}, module_directory(), "mail");
    EXPECT_EQ(result.value("exit", -1), 0) << "the library's programs are asked about like all others: " << result;
}

TEST_F(PolkitTest, fastrpcctl_lets_people_be_asked_at_a_terminal_unless_it_is_told_not_to) {
    start_polkit();
    using Person = Agent::Person;
    const std::vector<std::string> reload{"policy", "reload"};
    const Told yes = ctl(true, Person::authenticates, reload);
    EXPECT_EQ(yes.code, 0) << yes.errors;
    EXPECT_EQ(yes.questions, 1U);
    EXPECT_TRUE(has(yes.errors, "is in force")) << yes.errors;
    const Told no = ctl(true, Person::dismisses, reload);
    EXPECT_EQ(no.code, 1);
    EXPECT_EQ(no.questions, 1U);
    EXPECT_TRUE(has(no.errors, "dismissed")) << no.errors;
    for (const auto& [terminal, arguments] :
         {std::pair(false, reload),
          std::pair(true, std::vector<std::string>{"policy", "reload", "--no-ask-password"})}) {
        const Told unasked = ctl(terminal, Person::authenticates, arguments);
        EXPECT_EQ(unasked.code, 1);
        EXPECT_EQ(unasked.questions, 0U);
        EXPECT_TRUE(has(unasked.errors, "does not allow that")) << unasked.errors;
    }
    EXPECT_EQ(ctl(true, Person::authenticates, {"domain", "list"}).questions, 0U) << "what everybody may is not asked";
}

TEST_F(PolkitTest, fastrpcctl_gives_all_orders_for_whom_polkit_lets) {
    start_polkit();
    BusUser nobody(*system_, uid_of("nobody"));
    const auto session = nobody.open();
    ASSERT_EQ(session.error, "") << session.text;
    const std::string id = session.path.substr(session.path.rfind('/') + 1);
    const auto run = [&](const char* user, std::vector<std::string> arguments) {
        const auto outcome = stack::run(system_->client("ctl/fastrpcctl", std::move(arguments), user));
        return outcome ? std::pair(outcome->code, outcome->output + outcome->errors)
                       : std::pair(-1, outcome.error().text);
    };
    const auto [refused, why] = run("news", {"session", "terminate", id});
    EXPECT_EQ(refused, 1) << why;
    EXPECT_TRUE(has(why, "only root may") && has(why, "polkit says no")) << why;
    for (const std::vector<std::string>& order : {std::vector<std::string>{"policy", "reload"},
                                                  {"policy", "explain", "--user", "nobody"},
                                                  {"session", "terminate", id}}) {
        const auto [code, text] = run("mail", order);
        EXPECT_EQ(code, 0) << text;
    }
    char byte = 0;
    EXPECT_TRUE(stack::eventually([&] { return ::recv(session.session.get(), &byte, 1, MSG_DONTWAIT) == 0; }, 60s));
    const auto [unknown, text] = run("mail", {"session", "terminate", "none"});
    EXPECT_EQ(unknown, 2);
    EXPECT_TRUE(has(text, "there is no session \"none\"")) << text;
}

TEST_F(PolkitTest, absent_is_a_denial_that_says_so) {
    const auto denied = user("mail")->open();
    EXPECT_EQ(denied.error, "AccessDenied");
    EXPECT_TRUE(has(denied.text, "not on the system bus")) << denied.text;
    const std::string reload = user("mail")->ask_manager("ReloadPolicy");
    EXPECT_TRUE(has(reload, "AccessDenied") && has(reload, "not on the system bus")) << reload;
    EXPECT_EQ(user("nobody")->open().error, "");
    start_polkit();
    EXPECT_EQ(user("mail")->open().error, "") << "it is there now";
}

TEST_F(PolkitTest, who_leaves_takes_the_question_back) {
    start_polkit();
    const Agent agent(*system_, uid_of("backup"), Agent::Person::ponders);
    auto backup = user("backup");
    backup->send();
    EXPECT_TRUE(stack::eventually([&] { return agent.told().size() == 1; }, 60s));
    EXPECT_EQ(asking(), 1U);
    backup.reset();
    EXPECT_TRUE(stack::eventually([&] { return agent.taken_back() > 0; }, 60s));
    EXPECT_TRUE(nothing_charged());
}

TEST_F(PolkitTest, hanging_delays_nobody_but_those_who_are_asked_about) {
    using Clock = std::chrono::steady_clock;
    start_polkit();
    BusUser nobody(*system_, uid_of("nobody"));
    const auto opens = [&] {
        std::vector<double> took;
        for (int i = 0; i < 20; ++i) {
            const auto since = Clock::now();
            const auto answer = nobody.open(10'000);
            EXPECT_EQ(answer.error, "") << answer.text;
            took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - since).count());
        }
        std::ranges::sort(took);
        return took;
    };
    const auto before = opens();
    polkit_->stop();
    const auto mail = user("mail"), news = user("news");
    for (int i = 0; i < 6; ++i) mail->send();
    news->send();
    for (int i = 0; i < 2; ++i) EXPECT_EQ(mail->next().error, "QuotaExceeded") << "4 questions of a uid may be open";
    const auto meanwhile = opens();
    EXPECT_EQ(asking(), 5U);
    EXPECT_FALSE(mail->answered());
    EXPECT_FALSE(news->answered());
    std::printf("OpenSession beside 5 questions to a polkit that hangs: median %.1f ms, longest %.1f ms; without: "
                "%.1f ms, %.1f ms\n",
                meanwhile[10], meanwhile.back(), before[10], before.back());
    polkit_->go_on();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(mail->next().error, "");
    EXPECT_EQ(news->next().error, "AccessDenied");
    EXPECT_TRUE(nothing_charged());
}

TEST_F(PolkitTest, says_which_users_may_do_what_else_root_alone_may) {
    start_polkit();
    BusUser mail(*system_, uid_of("mail")), news(*system_, uid_of("news")), nobody(*system_, uid_of("nobody"));
    const auto session = nobody.open();
    ASSERT_EQ(session.error, "") << session.text;
    const auto about_nobody = [](sd_bus_message* call) {
        return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, "uid", "u", uid_of("nobody"));
    };
    const auto its_path = [&](sd_bus_message* call) {
        return ::sd_bus_message_append(call, "o", session.path.c_str());
    };
    for (const auto& [method, arguments, result] :
         {std::tuple<const char*, std::function<int(sd_bus_message*)>, std::string>("ReloadPolicy", {}, "UINT64"),
          {"ExplainAccess", about_nobody, "free"},
          {"ListAllSessions", {}, session.path},
          {"TerminateSession", its_path, ""}}) {
        const std::string denied = news.ask_manager(method, arguments);
        EXPECT_TRUE(has(denied, "AccessDenied") && has(denied, "only root may")) << denied;
        EXPECT_FALSE(has(denied, session.path)) << denied;
        const std::string done = mail.ask_manager(method, arguments);
        EXPECT_TRUE(done.starts_with("ok") && has(done, result)) << method << ": " << done;
    }
    char byte = 0;
    EXPECT_TRUE(stack::eventually([&] { return ::recv(session.session.get(), &byte, 1, MSG_DONTWAIT) == 0; }, 60s))
        << "its session was ended";
    EXPECT_TRUE(nothing_charged());
}

} // namespace
