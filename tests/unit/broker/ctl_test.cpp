// fastrpcctl against a real fastrpcd: its text, its JSON and its exit codes.
#include "tests/unit/broker/private_system.hpp"

#include <future>
#include <optional>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// Runs `fastrpcctl list ...` while the test answers for the hosts, in the order in which it asks: the PDs and sessions
// one by one, then all of them for the totals.
Outcome list_with_hosts(PrivateSystem& system, std::vector<std::string> arguments, FakeHost& pd, FakeHost& session) {
    auto outcome = std::async(std::launch::async, [&] { return system.ctl(std::move(arguments)); });
    for (int round = 0; round < 2; ++round) {
        EXPECT_TRUE(pd.answer_query({.calls = 1, .files_served = 3}));
        EXPECT_TRUE(session.answer_query({.calls = 20, .bytes = 300, .files_served = 4, .p50_us = 55, .p99_us = 66}));
    }
    return outcome.get();
}

} // namespace

TEST(Ctl, lists_domains_pds_sessions_and_their_figures) {
    PrivateSystem system;
    Client client = system.client(nobody);
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    auto open = system.open_session(client);
    const Outcome text = list_with_hosts(system, {"list"}, pd, open.host);
    EXPECT_EQ(text.code, 0) << text.errors;
    for (const char* part :
         {"adsp", "cdsp", "online", "root", "/dev/fastrpc-x", "unsigned-for-some", "adsp root: calls 1,",
          "calls 20, bytes 300, files loaded 4, p50 55 us, p99 66 us", "total: calls 21,", "sessions opened 1"})
        EXPECT_TRUE(has(text.output, part)) << part << "\n" << text.output;

    const Outcome as_json = list_with_hosts(system, {"list", "--json"}, pd, open.host);
    const json list = json::parse(as_json.output, nullptr, false);
    ASSERT_TRUE(list.is_object()) << as_json.output;
    ASSERT_EQ(list["sessions"].size(), 1U);
    const json& session = list["sessions"][0];
    EXPECT_EQ(session["uid"], nobody);
    EXPECT_EQ(session["domain"], "cdsp");
    EXPECT_EQ(session["pd"], "unsigned");
    EXPECT_EQ(session["state"], "ready");
    EXPECT_EQ(session["usage"]["calls"], 20);
    EXPECT_EQ(session["limits"]["lanes"], 4);
    EXPECT_TRUE(open.path.ends_with(session["id"].get<std::string>()));
    ASSERT_EQ(list["pds"].size(), 1U);
    EXPECT_EQ(list["pds"][0]["domain"], "adsp");
    EXPECT_EQ(list["pds"][0]["state"], "running");
    EXPECT_EQ(list["domains"].size(), 2U);
    EXPECT_EQ(list["totals"]["calls"], 21);
}

// Between the list of objects and the questions to each comes the answer of the PD's host.
TEST(Ctl, a_session_that_goes_while_it_is_listed_keeps_its_form) {
    PrivateSystem system;
    Client client = system.client(nobody);
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    auto open = std::make_optional(system.open_session(client));
    auto outcome = std::async(std::launch::async, [&] { return system.ctl({"list", "--json"}); });
    const auto question = pd.receive();
    ASSERT_TRUE(question);
    const std::string path = open->path;
    open.reset();
    ASSERT_TRUE(client.until([&] {
        return !client.property(path, "org.fastrpc1.Session", "State").wait().error.empty();
    })) << "it is still there";
    ASSERT_TRUE(pd.send(ControlOp::query, encode(Counters{.calls = 1}, pd.version), question->header.cookie, true));
    const json list = json::parse(outcome.get().output, nullptr, false);
    ASSERT_EQ(list.value("sessions", json::array()).size(), 1U) << list;
    EXPECT_EQ(list["sessions"][0]["label"], "");
    EXPECT_TRUE(list["sessions"][0]["usage"].is_null());
}

TEST(Ctl, a_host_that_does_not_answer_does_not_hide_the_others) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const auto open = system.open_session(client);
    const Outcome outcome = system.ctl({"list", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    const json list = json::parse(outcome.output, nullptr, false);
    ASSERT_EQ(list["sessions"].size(), 1U);
    EXPECT_TRUE(list["sessions"][0]["usage"].is_null());
}

TEST(Ctl, what_a_host_says_cannot_drive_the_terminal) {
    PrivateSystem system;
    FakeHost pd = system.connect_control();
    Description about = root_of(Domain::adsp, PdState::failed);
    about.reason = "evil\x1b[2Jtext";
    about.node = "/dev/\x07node";
    ASSERT_EQ(pd.described(about), 0U);
    pd.socket.reset();
    const Outcome outcome = system.ctl({"list"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_FALSE(has(outcome.output, "\x1b")) << outcome.output;
    EXPECT_TRUE(has(outcome.output, "evil?[2Jtext")) << outcome.output;
}

TEST(Ctl, status_says_what_runs) {
    PrivateSystem system;
    const Outcome text = system.ctl({"status"});
    EXPECT_EQ(text.code, 0) << text.errors;
    EXPECT_TRUE(has(text.output, "running")) << text.output;
    const json status = json::parse(system.ctl({"status", "--json"}).output, nullptr, false);
    EXPECT_EQ(status["running"], true);
    EXPECT_NE(status["policy-revision"], 0);
    EXPECT_TRUE(status["version"].is_string());
}

TEST(Ctl, without_fastrpcd_there_is_one_clear_line_and_exit_code_1) {
    PrivateSystem system({.start = false});
    for (const char* command : {"status", "list"}) {
        const Outcome outcome = system.ctl({command});
        EXPECT_EQ(outcome.code, 1);
        EXPECT_TRUE(has(outcome.errors, "fastrpcd is not running")) << outcome.errors;
        EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1) << outcome.errors;
    }
    const json status = json::parse(system.ctl({"status", "--json"}).output, nullptr, false);
    EXPECT_EQ(status["running"], false);
    EXPECT_EQ(system.ctl({"policy", "explain", "cdsp", "unsigned"}).code, 2) << "1 would read as a denial";
}

TEST(Ctl, explains_with_rule_place_reason_and_fix) {
    PrivateSystem system;
    const Outcome yes = system.ctl({"policy", "explain", "cdsp", "unsigned"});
    EXPECT_EQ(yes.code, 0);
    EXPECT_TRUE(has(yes.output, "ALLOWED")) << yes.output;
    EXPECT_TRUE(has(yes.output, "unsigned-for-some")) << yes.output;
    const Outcome no = system.ctl({"policy", "explain", "cdsp", "signed"});
    EXPECT_EQ(no.code, 1);
    for (const char* part : {"DENIED", "nothing-signed", "50-test.json:", "reason: ", "fix: "})
        EXPECT_TRUE(has(no.output, part)) << part << "\n" << no.output;
    const json said = json::parse(system.ctl({"policy", "explain", "cdsp", "signed", "--json"}).output, nullptr, false);
    EXPECT_EQ(said["allowed"], false);
    EXPECT_EQ(said["rule"], "nothing-signed");
    EXPECT_GT(said["line"], 0);
    EXPECT_TRUE(said["fix"].is_string());
}

TEST(Ctl, explains_about_others_and_fails_when_one_of_them_is_denied) {
    PrivateSystem system;
    EXPECT_EQ(system.ctl({"policy", "explain", "cdsp", "unsigned", "--uid", "65534"}).code, 0);
    EXPECT_EQ(system.ctl({"policy", "explain", "cdsp", "unsigned", "--uid", "nobody"}).code, 0);
    const Outcome both =
        system.ctl({"policy", "explain", "cdsp", "unsigned", "--uid", "65534", "--uid", "4242", "--json"});
    EXPECT_EQ(both.code, 1);
    const json answers = json::parse(both.output, nullptr, false);
    ASSERT_EQ(answers.size(), 2U) << both.output;
    EXPECT_EQ(answers[0]["allowed"], true);
    EXPECT_EQ(answers[1]["uid"], 4242);
    const Outcome unknown = system.ctl({"policy", "explain", "bdsp", "unsigned"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_TRUE(has(unknown.errors, "cdsp")) << unknown.errors;
    EXPECT_EQ(system.ctl({"no-such-command"}).code, 2);
}
