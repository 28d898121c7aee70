// fastrpcctl log and policy log, on journal files that hold what hosts, fastrpcd and strangers wrote.
#include "ctl/journal.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <cstdlib>
#include <fmt/core.h>
#include <fstream>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;
using fastrpc::ctl::test::lines_of;

namespace {

constexpr const char* converter = "/lib/systemd/systemd-journal-remote";

// One entry in journald's export format; the time is that of its number.
std::string entry(unsigned number, const std::string& fields) {
    return fmt::format("__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n"
                       "_BOOT_ID=0123456789abcdef0123456789abcdef\n{}\n",
                       1'700'000'000'000'000 + number * 1'000'000ULL, number * 1'000'000ULL, fields);
}

std::string dsp(const std::string& domain, const std::string& text, const std::string& more = "") {
    return fmt::format("SYSLOG_IDENTIFIER=fastrpc-dsp\n_SYSTEMD_UNIT=fastrpc-pd@{0}-root.service\nFASTRPC_DOMAIN={0}\n"
                       "FASTRPC_PD=root\nPRIORITY=4\n_PID=77\nMESSAGE={1}\n{2}",
                       domain, text, more);
}

std::string decision(const std::string& what, unsigned uid, const std::string& unit = "fastrpcd.service") {
    return fmt::format("SYSLOG_IDENTIFIER=fastrpcd\n_SYSTEMD_UNIT={}\nFASTRPC_DECISION={}\nFASTRPC_UID={}\n"
                       "FASTRPC_DOMAIN=cdsp\nFASTRPC_PD=unsigned\nFASTRPC_RULE=some-rule\nFASTRPC_REVISION=00ff\n"
                       "PRIORITY=5\nMESSAGE=a session was decided about\n",
                       unit, what, uid);
}

class CtlJournal : public testing::Test {
protected:
    PrivateSystem system{{.start = false}};
    std::filesystem::path directory = system.directory() / "journal";

    void SetUp() override {
        ASSERT_TRUE(std::filesystem::exists(converter)) << "install systemd-journal-remote";
        std::filesystem::create_directory(directory);
        write({entry(1, dsp("adsp", "first", "CODE_FILE=hap.c\nCODE_LINE=7\nFASTRPC_DSP_LEVEL=high\n")),
               entry(2, dsp("cdsp", "second")),
               entry(3, "SYSLOG_IDENTIFIER=fastrpc-dsp\n_SYSTEMD_UNIT=user@1000.service\nFASTRPC_DOMAIN=cdsp\n"
                        "MESSAGE=forged\n"),
               entry(4, "SYSLOG_IDENTIFIER=fastrpc-dsp\n_SYSTEMD_UNIT=fastrpc-session@3.service\nFASTRPC_DOMAIN=cdsp\n"
                        "FASTRPC_PD=unsigned\nFASTRPC_SESSION=255\nPRIORITY=6\nMESSAGE=of a session\n"),
               entry(5, decision("allow", 1000)), entry(6, decision("deny", 1001)),
               entry(7, decision("deny", 1001, "user@1001.service")),
               entry(8, "SYSLOG_IDENTIFIER=fastrpcd\n_SYSTEMD_UNIT=fastrpcd.service\nMESSAGE=no decision\n")});
    }
    void write(const std::vector<std::string>& entries) const {
        const auto text = system.directory() / "entries";
        std::ofstream out(text);
        for (const std::string& one : entries) out << one;
        out.close();
        const std::string command =
            fmt::format("{} -o {}/test.journal {} 2>/dev/null", converter, directory.string(), text.string());
        ASSERT_EQ(std::system(command.c_str()), 0) << command;
    }
    Outcome ctl(std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--directory", directory.string()});
        return system.ctl(std::move(arguments));
    }
};

} // namespace

TEST_F(CtlJournal, log_has_the_lines_of_dsps_in_their_order_and_of_nobody_else) {
    const Outcome outcome = ctl({"log"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    const auto lines = lines_of(outcome.output);
    ASSERT_EQ(lines.size(), 3U) << outcome.output;
    EXPECT_TRUE(has(lines[0], "adsp/root: first (hap.c:7)")) << lines[0];
    EXPECT_TRUE(has(lines[1], "cdsp/root: second")) << lines[1];
    EXPECT_TRUE(has(lines[2], "cdsp/unsigned s00000000000000ff: of a session")) << lines[2];
}

TEST_F(CtlJournal, log_is_narrowed_by_domain_session_and_number) {
    EXPECT_EQ(lines_of(ctl({"log", "--domain", "adsp"}).output).size(), 1U);
    const Outcome last = ctl({"log", "-n", "1"});
    EXPECT_TRUE(has(last.output, "of a session")) << last.output;
    EXPECT_EQ(lines_of(last.output).size(), 1U);
    const Outcome session = ctl({"log", "--session", "s00000000000000ff", "--json=short"});
    const json line = json::parse(session.output, nullptr, false);
    ASSERT_TRUE(line.is_object()) << session.output;
    EXPECT_EQ(line["text"], "of a session");
    EXPECT_EQ(line["session"], "s00000000000000ff");
    EXPECT_EQ(line["level"], "info");
    EXPECT_EQ(line["time-usec"], 1'700'000'004'000'000);
    const Outcome wrong = ctl({"log", "--session", "255"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_TRUE(has(wrong.errors, "no session's id")) << wrong.errors;
}

TEST_F(CtlJournal, policy_log_has_what_fastrpcd_decided_and_what_others_claim_not) {
    const Outcome all = ctl({"policy", "log", "--json"});
    EXPECT_EQ(all.code, 0) << all.errors;
    const auto lines = lines_of(all.output);
    ASSERT_EQ(lines.size(), 2U) << all.output;
    const json first = json::parse(lines[0], nullptr, false);
    EXPECT_EQ(first["decision"], "allow");
    EXPECT_EQ(first["uid"], 1000);
    EXPECT_EQ(first["rule"], "some-rule");
    EXPECT_EQ(first["revision"], "00ff");
    const Outcome denied = ctl({"policy", "log", "--decision", "deny"});
    ASSERT_EQ(lines_of(denied.output).size(), 1U) << denied.output;
    EXPECT_TRUE(has(denied.output, "deny uid 1001 cdsp unsigned: a session was decided about (rule some-rule)"))
        << denied.output;
    EXPECT_EQ(ctl({"policy", "log", "--uid", "7"}).output, "");
}

TEST_F(CtlJournal, follow_goes_on_with_what_is_written_later_until_sigint) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd out(ends[0]);
    UniqueFd in(ends[1]);
    const auto child = system.start_ctl({"log", "-f", "-n", "1", "--directory", directory.string()}, in.get(), -1);
    in.reset();
    const auto line = [&] {
        std::string text;
        for (char c = 0; readable(out.get(), 20000) && ::read(out.get(), &c, 1) == 1 && c != '\n';) text += c;
        return text;
    };
    EXPECT_TRUE(has(line(), "of a session"));
    write({entry(9, dsp("adsp", "later"))});
    EXPECT_TRUE(has(line(), "adsp/root: later"));
    child->kill(SIGINT);
    EXPECT_EQ(child->wait(), 0);
}

TEST_F(CtlJournal, follow_hears_the_first_line_of_a_dsp_that_never_said_any) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd out(ends[0]);
    UniqueFd in(ends[1]);
    const auto child =
        system.start_ctl({"log", "-f", "--domain", "sdsp", "--directory", directory.string()}, in.get(), -1);
    in.reset();
    std::this_thread::sleep_for(std::chrono::milliseconds(500)); // it follows by now; if not, the line is there already
    write({entry(11, dsp("sdsp", "first of all"))});
    std::string text;
    for (char c = 0; readable(out.get(), 20000) && ::read(out.get(), &c, 1) == 1 && c != '\n';) text += c;
    EXPECT_TRUE(has(text, "sdsp/root: first of all")) << text;
}

TEST_F(CtlJournal, a_directory_without_a_journal_has_no_line_and_one_that_is_not_there_is_refused) {
    std::filesystem::create_directory(system.directory() / "empty");
    const Outcome outcome = system.ctl({"log", "--directory", (system.directory() / "empty").string()});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(system.ctl({"log", "--directory", "/no/such/directory"}).code, 2);
}

TEST_F(CtlJournal, what_a_dsp_says_cannot_drive_the_terminal) {
    write({entry(10, dsp("adsp", "evil\x1b[2Jtext"))});
    const Outcome outcome = ctl({"log", "-n", "1"});
    EXPECT_TRUE(has(outcome.output, "evil?[2Jtext")) << outcome.output;
}
