// fastrpcctl show: KEY=VALUE lines that scripts can build on.
#include "ctl/show.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <future>
#include <regex>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;
using fastrpc::ctl::test::lines_of;

TEST(CtlShow, every_line_is_a_key_and_a_value) {
    PrivateSystem system;
    const Outcome outcome = system.ctl({"show"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    const std::regex form("[A-Z][A-Za-z0-9]*=[^\n]*");
    for (const std::string& line : lines_of(outcome.output)) EXPECT_TRUE(std::regex_match(line, form)) << line;
    for (const char* key : {"PolicyRevision=", "State=running", "SessionsOpened=0", "ChargedSlots=0", "ObjectPath="})
        EXPECT_TRUE(has(outcome.output, key)) << key << '\n' << outcome.output;
}

TEST(CtlShow, chosen_keys_come_in_their_order_and_bare_with_value) {
    PrivateSystem system;
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    const auto ask = [&](std::vector<std::string> arguments) {
        auto outcome = std::async(std::launch::async, [&] { return system.ctl(arguments); });
        EXPECT_TRUE(pd.answer_query({.calls = 9, .p99_us = 77}));
        return outcome.get();
    };
    EXPECT_EQ(ask({"show", "adsp/root", "-p", "State", "-p", "Calls,P99Us", "-p", "NoSuchKey"}).output,
              "State=running\nCalls=9\nP99Us=77\n");
    EXPECT_EQ(ask({"show", "--value", "-p", "Kind", "-p", "Static", "adsp", "root"}).output, "root\nyes\n");
    EXPECT_EQ(ask({"show", "/org/fastrpc1/domain/adsp/pd/root", "-p", "Pid", "--json=short"}).output,
              "{\"Pid\":4711}\n");
}

TEST(CtlShow, a_session_has_its_label_and_a_domain_its_capabilities) {
    PrivateSystem system;
    Client client = system.client(65534);
    auto open = system.open_session(client);
    const std::string id = open.path.substr(open.path.rfind('/') + 1);
    auto outcome = std::async(std::launch::async, [&] { return system.ctl({"show", id}); });
    EXPECT_TRUE(open.host.answer_query({.calls = 3}));
    const std::string text = outcome.get().output;
    for (const std::string& part : {"Id=" + id, std::string("Calls=3"), std::string("OwnerUid=65534"),
                                    std::string("Label="), std::string("lanes=4")})
        EXPECT_TRUE(has(text, part)) << part << '\n' << text;
    EXPECT_EQ(system.ctl({"show", "cdsp", "-p", "Name", "-p", "Capabilities"}).output, "Name=cdsp\nCapabilities=\n");
}

TEST(CtlShow, an_object_that_is_not_there_is_answered_with_those_that_are) {
    PrivateSystem system;
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
    const Outcome outcome = system.ctl({"status", "bdsp"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_TRUE(has(outcome.errors, "\"bdsp\"; there are: adsp, adsp/root")) << outcome.errors;
}

TEST(CtlShow, values_of_every_type_have_one_form) {
    using fastrpc::ctl::show_text;
    const json all{{"Flag", false}, {"List", {"a", "b"}}, {"Map", {{"x", 1}, {"y", 2}}}, {"Text", "evil\nline"}};
    EXPECT_EQ(show_text(all, {}, false), "Flag=no\nList=a b\nMap=x=1 y=2\nText=evil?line\n");
}
