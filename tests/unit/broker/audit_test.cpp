// What a decision leaves in the journal: one line with its fields, at the level of its rule, and floods as counts.
#include "base/message_ids.hpp"
#include "broker/audit.hpp"
#include "tests/unit/broker/loop.hpp"
#include "tests/unit/broker/private_system.hpp"

#include <algorithm>
#include <csignal>
#include <regex>
#include <set>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> lines_with(const std::string& text, std::string_view part) {
    std::vector<std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (line.find(part) != std::string::npos) found.push_back(line);
    return found;
}

/// Value of FASTRPC_COUNT in `line`; 0 without.
std::uint64_t count_in(const std::string& line) {
    std::smatch found;
    return std::regex_search(line, found, std::regex("FASTRPC_COUNT=([0-9]+)")) ? std::stoull(found[1]) : 0;
}

#define EXPECT_MENTIONS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class Audited : public testing::Test {
protected:
    Loop loop;
    Decision denial{.audit = Audit::warning, .rule = "no", .file = "/etc/p.json", .line = 7, .reason = "no"};

    void SetUp() override {
        testing::internal::CaptureStderr();
        log::open("fastrpcd");
    }
    static void deny(AuditLog& audit, const Subject& who, const Decision& decision) {
        audit.session_denied({who, Domain::cdsp, PdKind::signed_user}, decision, 0xABC, decision.reason);
    }
    /// All that the audit wrote, once it is gone.
    static std::string written() { return testing::internal::GetCapturedStderr(); }
};

} // namespace

TEST(MessageIds, are_128_bits_each_and_no_two_are_the_same) {
    std::set<std::string_view> ids(message_id::decisions.begin(), message_id::decisions.end());
    ids.insert({message_id::policy_loaded, message_id::policy_broken});
    EXPECT_EQ(ids.size(), message_id::decisions.size() + 2);
    for (const std::string_view id : ids)
        EXPECT_TRUE(std::regex_match(std::string(id), std::regex("[0-9a-f]{32}"))) << id;
}

TEST_F(Audited, a_denial_has_all_that_is_known_in_fields) {
    {
        AuditLog audit(loop);
        deny(audit, {.uid = 1000, .gids = {}, .label = "app:camera"}, denial);
    }
    const std::string line = written();
    for (const char* part :
         {"fastrpcd: warning: ", "MESSAGE_ID=ea510d387ac54a12b95a8978ee7ce77b", "FASTRPC_UID=1000",
          "FASTRPC_LABEL=app:camera", "FASTRPC_DOMAIN=cdsp", "FASTRPC_PD=signed", "FASTRPC_RULE=no",
          "FASTRPC_RULE_FILE=/etc/p.json:7", "FASTRPC_REVISION=0000000000000abc", "FASTRPC_DECISION=deny"})
        EXPECT_MENTIONS(line, part);
    EXPECT_EQ(std::ranges::count(line, '\n'), 1);
}

TEST_F(Audited, a_rule_that_wants_no_audit_has_none) {
    {
        AuditLog audit(loop);
        denial.audit = Audit::none;
        for (int i = 0; i < 3; ++i) deny(audit, {.uid = 1, .gids = {}, .label = {}}, denial);
    }
    EXPECT_EQ(written(), "");
}

TEST_F(Audited, a_label_cannot_make_a_line_or_a_field) {
    {
        AuditLog audit(loop);
        deny(audit, {.uid = 1, .gids = {}, .label = "x\nfastrpcd: info: y FASTRPC_DECISION=allow"}, denial);
    }
    const std::string line = written();
    EXPECT_EQ(std::ranges::count(line, '\n'), 1) << line;
    EXPECT_MENTIONS(line, "FASTRPC_LABEL=\"x\\x0afastrpcd: info: y FASTRPC_DECISION=allow\"");
}

TEST_F(Audited, a_flood_is_one_line_and_an_exact_count_when_the_window_ends) {
    AuditLog audit(loop, 200ms);
    const Subject flooder{.uid = 1, .gids = {}, .label = {}}, other{.uid = 2, .gids = {}, .label = {}};
    for (int i = 0; i < 500; ++i) deny(audit, flooder, denial);
    deny(audit, other, denial);
    const auto start = std::chrono::steady_clock::now();
    loop.until([&] { return std::chrono::steady_clock::now() > start + 2s; });
    const std::string text = written();
    EXPECT_EQ(lines_with(text, "ea510d387ac54a12b95a8978ee7ce77b").size(), 2U) << text;
    const auto counts = lines_with(text, message_id::repeated);
    ASSERT_EQ(counts.size(), 1U) << text;
    EXPECT_EQ(count_in(counts[0]), 499U);
    EXPECT_MENTIONS(counts[0], "FASTRPC_UID=1");
    EXPECT_MENTIONS(counts[0], "FASTRPC_RULE=no");
    EXPECT_MENTIONS(counts[0], "warning");
}

TEST_F(Audited, the_counts_that_are_left_are_written_at_the_end) {
    {
        AuditLog audit(loop);
        for (int i = 0; i < 4; ++i) deny(audit, {.uid = 1, .gids = {}, .label = {}}, denial);
        for (int i = 0; i < 3; ++i)
            audit.admin_denied({.uid = 1, .gids = {}, .label = {}}, "Manager.ReloadPolicy", "no");
    }
    const std::string text = written();
    const auto counts = lines_with(text, message_id::repeated);
    ASSERT_EQ(counts.size(), 2U) << text;
    EXPECT_EQ(count_in(counts[0]) + count_in(counts[1]), 5U);
    EXPECT_EQ(lines_with(text, "FASTRPC_METHOD=Manager.ReloadPolicy FASTRPC_COUNT=2").size(), 1U) << text;
}

TEST(Audit, an_open_session_and_its_grant_are_one_line) {
    PrivateSystem system;
    Client client = system.client(65534);
    const auto open = system.open_session(client);
    const auto lines = lines_with(system.log(), message_id::session_allowed);
    ASSERT_EQ(lines.size(), 1U) << system.log();
    for (const std::string& part :
         {std::string("FASTRPC_DECISION=allow"), std::string("FASTRPC_UID=65534"), std::string("FASTRPC_DOMAIN=cdsp"),
          std::string("FASTRPC_PD=unsigned"), std::string("FASTRPC_RULE=unsigned-for-some"), std::string("lanes=4 "),
          "FASTRPC_SESSION=" + std::filesystem::path(open.path).filename().string()})
        EXPECT_MENTIONS(lines[0], part);
}

TEST(Audit, what_the_policy_allowed_and_the_dsp_did_not_says_both) {
    PrivateSystem system;
    Client client = system.client(65534);
    Call call = client.open("cdsp", "unsigned");
    system.next_host().say(ControlOp::failed, FailedMessage{ErrorKind::offline, 0, "no node"});
    EXPECT_EQ(call.wait().error, "org.fastrpc1.Error.DomainOffline");
    const auto lines = lines_with(system.log(), message_id::session_failed);
    ASSERT_EQ(lines.size(), 1U) << system.log();
    EXPECT_MENTIONS(lines[0], "FASTRPC_DECISION=allow");
    EXPECT_MENTIONS(lines[0], "no node");
}

TEST(Audit, a_flood_of_denials_of_one_uid_is_two_lines_with_the_exact_number_and_holds_nobody_back) {
    PrivateSystem system;
    Client flooder = system.client(65534), other = system.client(2);
    constexpr int asked = 400;
    for (int i = 0; i < asked; ++i)
        EXPECT_EQ(flooder.open("cdsp", "signed").wait().error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_EQ(other.open("adsp", "signed").wait().error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_EQ(lines_with(system.log(), "FASTRPC_UID=2 ").size(), 1U) << system.log();
    EXPECT_EQ(system.stop_fastrpcd(), 0);
    const auto lines = lines_with(system.log(), "FASTRPC_UID=65534");
    ASSERT_EQ(lines.size(), 2U) << system.log();
    EXPECT_EQ(count_in(lines[1]), std::uint64_t{asked - 1});
    EXPECT_MENTIONS(lines[1], "FASTRPC_RULE=nothing-signed");
}

TEST(Audit, the_methods_of_administrators_are_told_with_who_called_them) {
    PrivateSystem system;
    Client root = system.client(), user = system.client(65534);
    const auto reload = [](Client& who) {
        return who.call("/org/fastrpc1", "org.fastrpc1.Manager", "ReloadPolicy").wait().error;
    };
    EXPECT_EQ(reload(user), "org.fastrpc1.Error.AccessDenied");
    EXPECT_EQ(reload(root), "");
    const std::string log = system.log();
    const auto denied = lines_with(log, message_id::admin_denied), allowed = lines_with(log, message_id::admin_allowed);
    ASSERT_EQ(denied.size(), 1U) << log;
    ASSERT_EQ(allowed.size(), 1U) << log;
    EXPECT_MENTIONS(denied[0], "FASTRPC_UID=65534 FASTRPC_METHOD=Manager.ReloadPolicy");
    EXPECT_MENTIONS(allowed[0], "FASTRPC_UID=0 FASTRPC_METHOD=Manager.ReloadPolicy");
    EXPECT_EQ(lines_with(log, message_id::policy_loaded).size(), 1U) << log;
}
