// Reloading the policy: in force as a whole or not at all, and said to everybody who asks.
#include "base/message_ids.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/broker/signals.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sys/stat.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;

json rule_for(const std::string& name, const json& subject, unsigned lanes) {
    return {
        {"name", name},        {"subject", subject},
        {"domains", {"cdsp"}}, {"kinds", {"unsigned"}},
        {"effect", "allow"},   {"limits", {{"lanes", lanes}, {"sessions_per_uid", 64}, {"opens_per_minute", 1000000}}}};
}

/// One rule that lets everybody have an unsigned PD on cdsp.
std::string policy(const std::string& name, unsigned lanes) {
    return json{{"rules", {rule_for(name, {{"any", true}}, lanes)}}}.dump(1);
}

/// One that lets root alone, and says what becomes of the sessions of others.
std::string policy_for_root(const std::string& running) {
    return json{{"running_sessions", running}, {"rules", {rule_for("roots", {{"users", {0}}}, 2)}}}.dump(1);
}

std::optional<TerminateMessage> terminated(FakeHost& host) {
    const auto frame = host.receive();
    if (!frame || frame->header.opcode != static_cast<std::uint16_t>(ControlOp::terminate)) return std::nullopt;
    auto message = decode<TerminateMessage>(frame->payload);
    if (!message) return std::nullopt;
    return *message;
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

TEST_F(Reload, a_rule_is_about_the_node_that_the_machine_has) {
    const auto write_node = [&](const char* node) {
        write_policy(std::string(R"({"rules": [{"name": "on-)") + node + R"(", "subject": {"any": true}, "domains": )" +
                     R"(["cdsp"], "kinds": ["unsigned"], "effect": "allow", "nodes": [")" + node + "\"]}]}");
        EXPECT_EQ(reload(root_).error, "");
    };
    write_node("misc");
    EXPECT_EQ(rule(), ""); // there is no node yet
    system_.add_node("fastrpc-cdsp");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (rule().empty() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(rule(), "on-misc");
    write_node("accel");
    EXPECT_EQ(rule(), "");
}

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

TEST_F(Reload, ends_the_sessions_that_it_denies_when_the_policy_says_so_and_no_others) {
    Client user = system_.client(nobody);
    Signals lost(user, "Lost");
    auto theirs = system_.open_session(user), roots = system_.open_session(root_);
    write_policy(policy_for_root("end"));
    ASSERT_EQ(reload(root_).error, "");
    const auto told = terminated(theirs.host);
    ASSERT_TRUE(told);
    EXPECT_EQ(told->reason, LostReason::policy_changed);
    EXPECT_NE(told->text.find("the policy was changed"), std::string::npos) << told->text;
    EXPECT_FALSE(readable(roots.host.socket.get(), 200)) << "the policy allows it";
    theirs.host.bye("ended");
    ASSERT_TRUE(user.until([&] { return !lost.texts.empty(); }));
    EXPECT_NE(lost.texts.front().find("the policy was changed"), std::string::npos) << lost.texts.front();
    EXPECT_NE(system_.log().find(message_id::session_ended), std::string::npos) << system_.log();
}

TEST_F(Reload, a_rule_that_denies_is_named_to_the_session_that_it_ends) {
    Client user = system_.client(nobody);
    auto session = system_.open_session(user);
    json deny = rule_for("not-any-more", {{"users", {nobody}}}, 1);
    deny["effect"] = "deny";
    deny.erase("limits");
    write_policy(json{{"running_sessions", "end"}, {"rules", {deny}}}.dump(1));
    ASSERT_EQ(reload(root_).error, "");
    const auto told = terminated(session.host);
    ASSERT_TRUE(told);
    EXPECT_NE(told->text.find("not-any-more"), std::string::npos) << told->text;
    EXPECT_NE(told->text.find("50-test.json:"), std::string::npos) << told->text;
}

TEST_F(Reload, keeps_sessions_that_it_denies_when_the_policy_says_nothing_or_keep) {
    Client user = system_.client(nobody);
    auto session = system_.open_session(user);
    for (const std::string& text : {policy_for_root("keep"), std::string(R"({"rules": []})")}) {
        write_policy(text);
        ASSERT_EQ(reload(root_).error, "");
    }
    EXPECT_FALSE(readable(session.host.socket.get(), 200));
}

TEST_F(Reload, a_session_of_an_earlier_fastrpcd_stays_for_its_groups_are_not_known_any_more) {
    FakeHost host = system_.connect_control();
    ASSERT_EQ(host.described(session_of(7, nobody)), 0U);
    write_policy(policy_for_root("end"));
    ASSERT_EQ(reload(root_).error, "");
    EXPECT_FALSE(readable(host.socket.get(), 200));
}

TEST_F(Reload, a_host_that_starts_meanwhile_is_ended_or_kept_like_a_session) {
    Client user = system_.client(nobody);
    Call kept = user.open("cdsp", "unsigned");
    FakeHost first = system_.next_host();
    write_policy(policy_for_root("keep"));
    ASSERT_EQ(reload(root_).error, "");
    ASSERT_TRUE(first.ready());
    EXPECT_EQ(kept.wait().error, "");

    write_policy(policy("first", 2));
    ASSERT_EQ(reload(root_).error, "");
    Call ended = user.open("cdsp", "unsigned");
    FakeHost second = system_.next_host();
    write_policy(policy_for_root("end"));
    ASSERT_EQ(reload(root_).error, "");
    const auto answer = ended.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_NE(answer.text.find("denied"), std::string::npos) << answer.text;
    EXPECT_TRUE(terminated(second));
}

TEST_F(Reload, any_number_of_signals_is_answered_by_readings_one_after_another) {
    write_policy(policy("second", 3));
    for (int i = 0; i < 2000; ++i) ::kill(system_.fastrpcd(), SIGHUP);
    EXPECT_TRUE(root_.until([&] { return rule() == "second"; }));
    write_policy(policy("third", 3));
    ASSERT_EQ(reload(root_).error, "");
    EXPECT_EQ(rule(), "third") << "nothing is left to be done first";
}

} // namespace
