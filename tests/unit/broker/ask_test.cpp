// Rules that ask and methods of admins, from the call to the answer; the test plays polkit, and gives the odd answers.
#include "tests/unit/broker/fake_polkit.hpp"
#include "tests/unit/broker/signals.hpp"

#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;
constexpr uid_t asked_about = 1;
constexpr const char* manager = "org.fastrpc1.Manager";

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// A rule of uid 1's that asks, unless `effect` says else, and one that lets nobody in.
std::string policy(unsigned lanes = 3, const std::string& effect = "ask", const std::string& name = "asks") {
    const auto rule = [](const std::string& called, uid_t uid, const std::string& what, unsigned of_lanes) {
        json made{{"name", called},
                  {"subject", {{"users", {uid}}}},
                  {"domains", {"cdsp"}},
                  {"kinds", {"unsigned"}},
                  {"effect", what}};
        if (what != "deny")
            made["limits"] = {{"lanes", of_lanes}, {"sessions_per_uid", 64}, {"opens_per_minute", 1000000}};
        return made;
    };
    return json{{"rules", {rule("free", nobody, "allow", 1), rule(name, asked_about, effect, lanes)}}}.dump(1);
}

class Ask : public testing::Test {
protected:
    void replace_policy(const std::string& text) {
        const auto draft = system_.directory() / "draft.json";
        std::ofstream(draft) << text;
        ::chmod(draft.c_str(), 0644);
        std::filesystem::rename(draft, system_.directory() / "policy.d/50-test.json");
        ASSERT_EQ(root_.call("/org/fastrpc1", manager, "ReloadPolicy").wait().error, "");
    }
    /// Lets a host come, and gives what it was told.
    Grant granted(Call& call) {
        FakeHost host = system_.next_host();
        EXPECT_TRUE(host.ready());
        const auto answer = call.wait();
        EXPECT_EQ(answer.error, "") << answer.text;
        return host.start.grant;
    }
    /// Whether everything is as on an idle system.
    bool idle() {
        return root_.until([&] {
            const std::string text = dump(root_.call("/org/fastrpc1", manager, "GetStats").wait().message.get());
            return stat(text, "asking") == 0 && stat(text, "charged-sessions") == 0 && stat(text, "opening") == 0;
        });
    }
    static std::uint64_t stat(const std::string& text, const std::string& name) {
        const std::size_t at = text.find("UINT64", text.find("\"" + name + "\""));
        return std::stoull(text.substr(at + 7));
    }

    PrivateSystem system_{{.policy = policy()}};
    Client root_ = system_.client();
    Client user_ = system_.client(asked_about);
    FakePolkit polkit_{system_.client()};
};

TEST_F(Ask, comes_before_anything_is_started_and_a_yes_gives_the_rules_grant) {
    Call call = user_.open("cdsp", "unsigned", [](sd_bus_message* m) {
        return ::sd_bus_message_append(m, "{sv}{sv}", "label", "s", "a program", "lanes", "u", 2U);
    });
    ASSERT_TRUE(polkit_.asked(1));
    const char* name = nullptr;
    ::sd_bus_get_unique_name(user_.raw(), &name);
    EXPECT_EQ(polkit_.questions[0].subject, std::string("system-bus-name name=") + name);
    EXPECT_EQ(
        polkit_.questions[0].details,
        (std::map<std::string, std::string>{
            {"domain", "cdsp"}, {"label", "a program"}, {"pd", "unsigned"}, {"rule", "asks"}, {"user", "daemon"}}));
    const std::string stats = dump(root_.call("/org/fastrpc1", manager, "GetStats").wait().message.get());
    EXPECT_EQ(stat(stats, "asking"), 1U);
    EXPECT_EQ(stat(stats, "opening") + stat(stats, "queued") + stat(stats, "charged-sessions"), 0U);
    EXPECT_FALSE(call.answered());
    polkit_.answer(0, true);
    const Grant grant = granted(call);
    EXPECT_EQ(grant.rule, "asks");
    EXPECT_EQ(grant.limits.lanes, 2U);
}

TEST_F(Ask, a_no_names_the_rule_its_place_and_the_reason) {
    Call call = user_.open("cdsp", "unsigned");
    ASSERT_TRUE(polkit_.asked(1));
    polkit_.answer(0, false);
    const auto answer = call.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied");
    for (const char* part : {"\"asks\"", "50-test.json:", "org.fastrpc1.open-session", "polkit says no"})
        EXPECT_TRUE(has(answer.text, part)) << answer.text;
    EXPECT_TRUE(idle());
    EXPECT_TRUE(has(system_.log(), "polkit says no"));
}

TEST_F(Ask, an_answer_that_comes_when_the_client_is_gone_opens_nothing) {
    {
        Client leaving = system_.client(asked_about);
        leaving.open("cdsp", "unsigned");
        ASSERT_TRUE(polkit_.asked(1));
    }
    ASSERT_TRUE(polkit_.until([&] { return !polkit_.cancelled.empty(); }));
    EXPECT_EQ(polkit_.cancelled[0], polkit_.questions[0].cancellation);
    polkit_.answer(0, true);
    EXPECT_TRUE(idle());
    EXPECT_EQ(stat(dump(root_.call("/org/fastrpc1", manager, "GetStats").wait().message.get()), "sessions-opened"), 0U);
}

TEST_F(Ask, an_answer_for_a_rule_that_is_gone_counts_no_more) {
    Call call = user_.open("cdsp", "unsigned");
    ASSERT_TRUE(polkit_.asked(1));
    replace_policy(policy(3, "deny"));
    polkit_.answer(0, true);
    EXPECT_EQ(call.wait().error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_TRUE(idle());
}

TEST_F(Ask, a_rule_that_gives_something_else_now_is_asked_for_anew) {
    for (const auto& changed : {policy(4), policy(3, "ask", "asks-otherwise")}) {
        const std::size_t before = polkit_.questions.size();
        Call call = user_.open("cdsp", "unsigned");
        ASSERT_TRUE(polkit_.asked(before + 1));
        replace_policy(changed);
        polkit_.answer(before, true);
        ASSERT_TRUE(polkit_.asked(before + 2));
        EXPECT_FALSE(call.answered());
        polkit_.answer(before + 1, false);
        EXPECT_EQ(call.wait().error, "org.fastrpc1.Error.AccessDenied");
    }
    EXPECT_EQ(polkit_.questions.back().details["rule"], "asks-otherwise");
    EXPECT_TRUE(idle());
}

TEST_F(Ask, the_same_rule_in_a_newer_policy_is_not_asked_for_twice) {
    Call call = user_.open("cdsp", "unsigned");
    ASSERT_TRUE(polkit_.asked(1));
    replace_policy("\n\n" + policy());
    polkit_.answer(0, true);
    const Grant grant = granted(call);
    const std::string revision = dump(root_.property("/org/fastrpc1", manager, "PolicyRevision").wait().message.get());
    EXPECT_TRUE(has(revision, std::to_string(grant.revision))) << "the grant is of the policy in force: " << revision;
    EXPECT_EQ(polkit_.questions.size(), 1U);
}

TEST_F(Ask, a_rule_that_allows_by_now_needs_no_yes) {
    Call call = user_.open("cdsp", "unsigned");
    ASSERT_TRUE(polkit_.asked(1));
    replace_policy(policy(2, "allow"));
    polkit_.answer(0, false);
    EXPECT_EQ(granted(call).limits.lanes, 2U);
}

TEST_F(Ask, what_a_newer_policy_gives_no_more_is_denied_whatever_the_answer) {
    const UniqueFd directory(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (const bool yes : {true, false}) {
        replace_policy(policy());
        const std::size_t before = polkit_.questions.size();
        Call call = user_.open("cdsp", "unsigned", [&](sd_bus_message* m) {
            return ::sd_bus_message_append(m, "{sv}", "directories", "ah", 1, directory.get());
        });
        ASSERT_TRUE(polkit_.asked(before + 1));
        json none = json::parse(policy());
        none["rules"][1]["limits"]["directories"] = 0;
        replace_policy(none.dump(1));
        EXPECT_FALSE(call.answered()) << "the question is polkit's to answer or to drop";
        polkit_.answer(before, yes);
        const auto answer = call.wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied");
        EXPECT_TRUE(has(answer.text, "only with no directory of the client's")) << answer.text;
        EXPECT_EQ(polkit_.questions.size(), before + 1);
    }
    EXPECT_TRUE(idle());
}

TEST_F(Ask, who_waits_for_a_dsp_after_a_yes_goes_on_under_the_same_rule_and_is_denied_under_another) {
    Client holder = system_.client(nobody);
    std::vector<PrivateSystem::Open> held;
    for (int i = 0; i < 13; ++i) held.push_back(system_.open_session(holder));
    const auto waiting = [&](std::size_t number) {
        Call call = user_.open("cdsp", "unsigned", [](sd_bus_message* m) {
            return ::sd_bus_message_append(m, "{sv}", "wait-ms", "u", 30000U);
        });
        EXPECT_TRUE(polkit_.asked(number));
        polkit_.answer(number - 1, true);
        EXPECT_TRUE(root_.until([&] {
            const std::string text = dump(root_.call("/org/fastrpc1", manager, "GetStats").wait().message.get());
            return stat(text, "queued") == 1;
        }));
        return call;
    };
    Call denied = waiting(1);
    replace_policy(policy(4)); // the yes was to three lanes
    const auto answer = denied.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_TRUE(has(answer.text, "asks polkit")) << answer.text;
    Call kept = waiting(2);
    replace_policy("\n" + policy(4));
    EXPECT_FALSE(kept.answered());
    held.back().socket.reset();
    held.back().host.bye("its client left");
    held.pop_back();
    EXPECT_EQ(granted(kept).limits.lanes, 4U);
    EXPECT_EQ(polkit_.questions.size(), 2U) << "nobody is asked twice";
}

TEST_F(Ask, a_flood_of_questions_of_one_uid_delays_nobody_else) {
    std::vector<Call> flood;
    for (int i = 0; i < 20; ++i) flood.push_back(user_.open("cdsp", "unsigned"));
    ASSERT_TRUE(user_.until([&] { return std::ranges::count_if(flood, &Call::answered) == 16; }));
    ASSERT_TRUE(polkit_.asked(4));
    Client other = system_.client(nobody);
    auto open = system_.open_session(other);
    EXPECT_EQ(std::ranges::count_if(flood, &Call::answered), 16);
    for (Call& call : flood)
        if (call.answered()) {
            EXPECT_EQ(call.wait().error, "org.fastrpc1.Error.QuotaExceeded");
        }
    for (std::size_t i = 0; i < 4; ++i) polkit_.answer(i, false);
    for (Call& call : flood) EXPECT_NE(call.wait().error, "");
    EXPECT_EQ(polkit_.questions.size(), 4U);
    open.socket.reset();
    open.host.bye("its client left");
    EXPECT_TRUE(idle());
}

TEST_F(Ask, explain_access_says_that_it_would_be_asked) {
    const auto explain = [&](Client& client, const Client::Fill& subject) {
        return client.call("/org/fastrpc1", manager, "ExplainAccess", [&](sd_bus_message* m) {
            const int step = ::sd_bus_message_append(m, "ss", "cdsp", "unsigned");
            return step < 0 ? step : subject(m);
        });
    };
    const auto oneself = [](sd_bus_message* m) { return ::sd_bus_message_append(m, "a{sv}", 0); };
    auto answer = explain(user_, oneself).wait();
    int allowed = 1;
    const char* rule = nullptr;
    ASSERT_GT(::sd_bus_message_read(answer.message.get(), "bs", &allowed, &rule), 0);
    EXPECT_EQ(allowed, 0);
    EXPECT_STREQ(rule, "asks");
    const std::string text = dump(answer.message.get());
    EXPECT_TRUE(has(text.substr(text.find("\"ask\"")).substr(0, 120), "BOOLEAN true")) << text;
    EXPECT_TRUE(polkit_.questions.empty()) << "nobody is asked for an explanation";

    Call about =
        explain(user_, [](sd_bus_message* m) { return ::sd_bus_message_append(m, "a{sv}", 1, "uid", "u", nobody); });
    ASSERT_TRUE(polkit_.asked(1));
    EXPECT_EQ(polkit_.questions[0].action, "org.fastrpc1.inspect");
    polkit_.answer(0, true);
    EXPECT_TRUE(has(dump(about.wait().message.get()), "\"free\""));
}

TEST_F(Ask, methods_of_admins_are_done_for_whom_polkit_lets_and_without_a_question_for_root) {
    FakeHost host = system_.connect_control();
    ASSERT_EQ(host.described(root_of(Domain::adsp)), 0U);
    const auto stop = [](Client& client) {
        return client.call("/org/fastrpc1/domain/adsp/pd/root", "org.fastrpc1.ProtectionDomain", "Stop");
    };
    Call denied = stop(user_);
    ASSERT_TRUE(polkit_.asked(1));
    EXPECT_EQ(polkit_.questions[0].action, "org.fastrpc1.manage-pds");
    EXPECT_EQ(polkit_.questions[0].details,
              (std::map<std::string, std::string>{{"domain", "adsp"}, {"pd", "root"}, {"verb", "stop"}}));
    polkit_.answer(0, false);
    const auto refusal = denied.wait();
    EXPECT_EQ(refusal.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_TRUE(has(refusal.text, "only root may stop the root PD of adsp") && has(refusal.text, "polkit says no"))
        << refusal.text;
    EXPECT_FALSE(readable(host.socket.get(), 0)) << "the host must not have heard of it";
    for (Client* who : {&user_, &root_}) {
        Call call = stop(*who);
        if (who == &user_) {
            ASSERT_TRUE(polkit_.asked(2));
            polkit_.answer(1, true);
        }
        const auto command = host.accept_command();
        ASSERT_TRUE(command);
        EXPECT_TRUE(command->by.starts_with(who == &user_ ? "uid 1 (daemon)" : "uid 0 (root)")) << command->by;
        EXPECT_EQ(call.wait().error, "");
    }
    EXPECT_EQ(polkit_.questions.size(), 2U);
}

TEST_F(Ask, sessions_of_others_are_ended_by_whom_polkit_lets_and_unknown_ones_do_not_show) {
    Client owner = system_.client(nobody);
    auto open = system_.open_session(owner);
    const auto end = [&](Client& client, const std::string& path) {
        return client.call("/org/fastrpc1", manager, "TerminateSession",
                           [&](sd_bus_message* m) { return ::sd_bus_message_append(m, "o", path.c_str()); });
    };
    std::string texts[2];
    for (const std::size_t i : {0U, 1U}) {
        Call call = end(user_, i == 0 ? open.path : "/org/fastrpc1/session/none");
        ASSERT_TRUE(polkit_.asked(i + 1));
        EXPECT_EQ(polkit_.questions[i].action, "org.fastrpc1.manage-sessions");
        polkit_.answer(i, false);
        texts[i] = call.wait().text;
    }
    EXPECT_EQ(texts[0], texts[1]) << "whether there is such a session is no matter of theirs";
    Call unknown = end(user_, "/org/fastrpc1/session/none");
    ASSERT_TRUE(polkit_.asked(3));
    polkit_.answer(2, true);
    EXPECT_EQ(unknown.wait().error, "org.fastrpc1.Error.InvalidArgs");
    Call call = end(user_, open.path);
    ASSERT_TRUE(polkit_.asked(4));
    EXPECT_EQ(polkit_.questions[3].details,
              (std::map<std::string, std::string>{{"domain", "cdsp"}, {"owner", "nobody"}}));
    polkit_.answer(3, true);
    EXPECT_EQ(call.wait().error, "");
    const auto frame = open.host.receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
    EXPECT_EQ(end(owner, open.path).wait().error, "") << "one's own needs no question";
    EXPECT_EQ(polkit_.questions.size(), 4U);
}

} // namespace
