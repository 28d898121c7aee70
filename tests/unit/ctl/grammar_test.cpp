// The grammar of fastrpcctl: global options on either side of the verb, the three forms of output, exit codes,
// sessions.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <fstream>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;

namespace {

constexpr uid_t nobody = 65534;

} // namespace

TEST(CtlGrammar, global_options_stand_before_or_behind_the_verb) {
    PrivateSystem system;
    const Outcome before = system.ctl({"--json=short", "domain", "list"});
    const Outcome behind = system.ctl({"domain", "list", "--json=short"});
    EXPECT_EQ(before.code, 0) << before.errors;
    EXPECT_EQ(before.output, "{\"domains\":[]}\n");
    EXPECT_EQ(behind.output, before.output);
    EXPECT_EQ(system.ctl({"domain", "--json=short", "list"}).output, before.output);
    const Outcome pretty = system.ctl({"--json", "domain", "list"});
    EXPECT_EQ(pretty.output, "{\n  \"domains\": []\n}\n");
    EXPECT_EQ(system.ctl({"domain", "list", "--json=pretty"}).output, pretty.output);
    const Outcome wrong = system.ctl({"domain", "list", "--json=xml"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_TRUE(has(wrong.errors, "xml")) << wrong.errors;
}

TEST(CtlGrammar, no_legend_leaves_out_the_heads_and_no_colours_reach_a_pipe) {
    PrivateSystem system;
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    const Outcome with = system.ctl({"pd", "list"});
    EXPECT_TRUE(with.output.starts_with("DOMAIN")) << with.output;
    EXPECT_FALSE(has(with.output, "\x1b")) << with.output;
    const Outcome without = system.ctl({"--no-legend", "pd", "list"});
    EXPECT_EQ(with.output.substr(with.output.find('\n') + 1).substr(0, 4), "adsp");
    EXPECT_TRUE(without.output.starts_with("adsp")) << without.output;
    EXPECT_EQ(std::ranges::count(without.output, '\n'), 1);
}

TEST(CtlGrammar, two_places_at_once_are_refused_and_local_verbs_do_not_go_elsewhere) {
    PrivateSystem system;
    const Outcome both = system.ctl({"-H", "there", "-M", "box", "list"});
    EXPECT_EQ(both.code, 2);
    EXPECT_TRUE(has(both.errors, "-H and -M")) << both.errors;
    const Outcome remote = system.ctl({"run", "-M", "box", "--", "true"});
    EXPECT_EQ(remote.code, 2);
    EXPECT_TRUE(has(remote.errors, "run looks at this machine itself")) << remote.errors;
}

TEST(CtlGrammar, a_session_is_listed_shown_and_terminated) {
    PrivateSystem system;
    Client client = system.client(nobody);
    auto open = system.open_session(client);
    const std::string id = open.path.substr(open.path.rfind('/') + 1);
    const Outcome list = system.ctl({"session", "list"});
    EXPECT_EQ(list.code, 0) << list.errors;
    for (const std::string& part : {id, std::string("nobody"), std::string("unsigned-for-some")})
        EXPECT_TRUE(has(list.output, part)) << part << '\n' << list.output;
    EXPECT_EQ(system.ctl_as(1, {"session", "list"}).output, "no session\n");

    const json one = json::parse(system.ctl({"session", "status", id, "--json"}).output, nullptr, false);
    EXPECT_EQ(one["id"], id);
    EXPECT_EQ(one["limits"]["lanes"], 4);
    const Outcome text = system.ctl({"status", id});
    EXPECT_TRUE(has(text.output, "session " + id + ": ready, unsigned PD on cdsp")) << text.output;

    const Outcome stranger = system.ctl_as(1, {"session", "terminate", id});
    EXPECT_EQ(stranger.code, 1);
    EXPECT_TRUE(has(stranger.errors, "only root may")) << stranger.errors;
    const Outcome unknown = system.ctl({"session", "terminate", "none"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_TRUE(has(unknown.errors, "that you may see")) << unknown.errors;
    EXPECT_EQ(system.ctl({"session", "terminate", id}).code, 0);
    std::optional<Frame> told; // beside the questions of status
    while ((told = open.host.receive()) && told->header.opcode != static_cast<std::uint16_t>(ControlOp::terminate)) {
    }
    EXPECT_TRUE(told);
}

TEST(CtlGrammar, dump_holds_everything_as_json_and_what_failed_in_its_place) {
    PrivateSystem system;
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    pd.socket.reset(); // its PD stays known; nobody answers for it
    const Outcome outcome = system.ctl({"dump"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    const json all = json::parse(outcome.output, nullptr, false);
    ASSERT_TRUE(all.is_object()) << outcome.output;
    for (const char* key : {"fastrpcctl-version", "status", "list", "domains", "files", "files-missing"})
        EXPECT_TRUE(all.contains(key)) << key;
    EXPECT_EQ(all["domains"][0]["name"], "adsp");
    EXPECT_TRUE(all["list"]["pds"][0]["usage"].is_null());
}

TEST(CtlGrammar, run_of_a_user_who_may_nothing_says_so_and_starts_nothing) {
    PrivateSystem system;
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    const auto mark = system.directory() / "started";
    const Outcome outcome = system.ctl_as(1, {"run", "--pd", "signed", "--", "/usr/bin/touch", mark.string()});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_TRUE(has(outcome.errors, "no DSP gives you signed PDs; adsp: ")) << outcome.errors;
    EXPECT_FALSE(std::filesystem::exists(mark));
}
