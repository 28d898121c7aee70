// Reloading the policy: in force as a whole or not at all, and said to everybody who asks.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/broker/signals.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;

/// One rule that lets everybody have an unsigned PD on cdsp.
std::string policy(const std::string& name, unsigned lanes) {
    return json{{"rules",
                 {{{"name", name},
                   {"subject", {{"any", true}}},
                   {"domains", {"cdsp"}},
                   {"kinds", {"unsigned"}},
                   {"effect", "allow"},
                   {"limits", {{"lanes", lanes}, {"sessions_per_uid", 64}, {"opens_per_minute", 1000000}}}}}}}
        .dump(1);
}

class Reload : public testing::Test {
protected:
    void write_policy(const std::string& text) const {
        const auto path = system_.directory() / "policy.d/50-test.json";
        const auto draft = system_.directory() / "draft.json";
        std::ofstream(draft) << text;
        ::chmod(draft.c_str(), 0644);
        std::filesystem::rename(draft, path);
    }
    Call::Answer reload(Client& client) {
        return client.call("/org/fastrpc1", "org.fastrpc1.Manager", "ReloadPolicy").wait();
    }
    std::string property(const char* name) {
        auto answer = root_.property("/org/fastrpc1", "org.fastrpc1.Manager", name).wait();
        EXPECT_EQ(answer.error, "") << answer.text;
        return dump(answer.message.get());
    }
    /// The rule that nobody's next unsigned PD on cdsp would come from.
    std::string rule() {
        auto answer = root_
                          .call("/org/fastrpc1", "org.fastrpc1.Manager", "ExplainAccess",
                                [](sd_bus_message* call) {
                                    return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, "uid", "u",
                                                                   std::uint32_t{nobody});
                                })
                          .wait();
        int allowed = 0;
        const char* name = nullptr;
        EXPECT_GE(::sd_bus_message_read(answer.message.get(), "bs", &allowed, &name), 0) << answer.text;
        return allowed != 0 ? name : "";
    }

    PrivateSystem system_{{.policy = policy("first", 2)}};
    Client root_ = system_.client();
};

TEST_F(Reload, puts_new_rules_in_force_and_tells_those_who_watch) {
    const std::string before = property("PolicyRevision");
    EXPECT_EQ(rule(), "first");
    Signals changes(root_, "PropertiesChanged");
    write_policy(policy("second", 3));
    EXPECT_EQ(rule(), "first") << "files are read when somebody asks, not before";
    const auto answer = reload(root_);
    ASSERT_EQ(answer.error, "") << answer.text;
    EXPECT_EQ(rule(), "second");
    EXPECT_NE(property("PolicyRevision"), before);
    ASSERT_TRUE(root_.until([&] { return !changes.texts.empty(); }));
    EXPECT_NE(changes.texts.front().find("PolicyRevision"), std::string::npos) << changes.texts.front();
}

TEST_F(Reload, of_a_broken_file_names_the_mistake_and_keeps_the_policy_before) {
    const std::string before = property("PolicyRevision");
    write_policy("{\n  \"rules\": [ {\"nmae\": \"second\"} ]\n}");
    const auto answer = reload(root_);
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.PolicyInvalid");
    EXPECT_NE(answer.text.find("50-test.json:2:"), std::string::npos) << answer.text;
    EXPECT_NE(answer.text.find("stays in force"), std::string::npos) << answer.text;
    EXPECT_EQ(rule(), "first");
    EXPECT_EQ(property("PolicyRevision"), before);
    EXPECT_NE(property("PolicyProblem").find("50-test.json:2:"), std::string::npos);
    const Outcome status = system_.ctl({"status"});
    EXPECT_NE(status.output.find("50-test.json:2:"), std::string::npos) << status.output;
    EXPECT_NE(system_.log().find("50-test.json:2:"), std::string::npos);

    write_policy(policy("second", 3));
    EXPECT_EQ(reload(root_).error, "");
    EXPECT_EQ(rule(), "second");
    EXPECT_EQ(property("PolicyProblem").find("50-test.json"), std::string::npos) << "it is mended";
}

TEST_F(Reload, is_roots_alone) {
    write_policy(policy("second", 3));
    Client user = system_.client(nobody);
    const auto answer = reload(user);
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_NE(answer.text.find("root"), std::string::npos) << answer.text;
    EXPECT_EQ(rule(), "first");
}

TEST_F(Reload, comes_by_signal_and_by_fastrpcctl_too) {
    write_policy(policy("second", 3));
    ::kill(system_.fastrpcd(), SIGHUP);
    EXPECT_TRUE(root_.until([&] { return rule() == "second"; }));
    write_policy(policy("third", 3));
    Outcome told = system_.ctl({"policy", "reload"});
    EXPECT_EQ(told.code, 0) << told.errors;
    EXPECT_NE(told.output.find("is in force"), std::string::npos) << told.output;
    EXPECT_EQ(rule(), "third");
    write_policy("{}");
    told = system_.ctl({"policy", "reload"});
    EXPECT_EQ(told.code, 2);
    EXPECT_NE(told.errors.find("50-test.json"), std::string::npos) << told.errors;
    EXPECT_EQ(rule(), "third");
}

TEST_F(Reload, many_at_once_are_all_answered) {
    write_policy(policy("second", 3));
    std::vector<Call> calls;
    for (int i = 0; i < 40; ++i) calls.push_back(root_.call("/org/fastrpc1", "org.fastrpc1.Manager", "ReloadPolicy"));
    for (Call& call : calls) EXPECT_EQ(call.wait().error, "");
    EXPECT_EQ(rule(), "second");
}

TEST_F(Reload, leaves_open_sessions_what_they_were_granted) {
    Client user = system_.client(nobody);
    const auto session = system_.open_session(user);
    write_policy(R"({"rules": []})");
    ASSERT_EQ(reload(root_).error, "");
    EXPECT_EQ(rule(), "");
    auto its = root_.property(session.path, "org.fastrpc1.Session", "Rule").wait();
    EXPECT_NE(dump(its.message.get()).find("first"), std::string::npos);
}

} // namespace
