// fastrpcctl domain and monitor against a real fastrpcd on a machine of files.
#include "tests/unit/broker/ctl_process.hpp"

#include <csignal>
#include <future>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class Watching : public CtlProcess {
public:
    Watching(PrivateSystem& system, std::vector<std::string> arguments) :
        CtlProcess(system, with_monitor(std::move(arguments))), listening(next_error()) {}
    std::string listening;

private:
    static std::vector<std::string> with_monitor(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "monitor");
        return arguments;
    }
};

} // namespace

TEST(CtlDomain, lists_the_dsps_of_the_machine) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.add_accel(0, "adsp");
    system.write("sys/class/remoteproc/remoteproc0/name", "slpi\n");
    system.write("sys/class/remoteproc/remoteproc0/state", "offline\n");
    system.start_fastrpcd();
    Client client = system.client();
    const auto open = system.open_session(client);
    const Outcome text = system.ctl({"domain", "list"});
    EXPECT_EQ(text.code, 0) << text.errors;
    for (const char* part : {"DOMAIN", "CONTEXTS", "cdsp", "1/14", "4/222", "misc", "adsp", "accel", "sdsp", "offline"})
        EXPECT_TRUE(has(text.output, part)) << part << "\n" << text.output;
    const json domains = json::parse(system.ctl({"domain", "list", "--json"}).output, nullptr, false)["domains"];
    ASSERT_EQ(domains.size(), 3U);
    EXPECT_EQ(domains[1]["name"], "cdsp");
    EXPECT_EQ(domains[1]["generation"], 1);
    EXPECT_EQ(domains[1]["contexts-granted"], 4);
    EXPECT_EQ(domains[1]["contexts-reserved"], 33);
    EXPECT_TRUE(has(domains[1]["nodes"][0], "/dev/fastrpc-cdsp"));
    EXPECT_EQ(domains[2]["problems"].size(), 1U);
}

TEST(CtlDomain, a_machine_without_a_dsp_says_so) {
    PrivateSystem system;
    EXPECT_EQ(system.ctl({"domain", "list"}).output, "no DSP was found on this machine\n");
    const Outcome outcome = system.ctl({"domain", "status", "cdsp"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_TRUE(has(outcome.errors, "this machine has: none")) << outcome.errors;
}

TEST(CtlDomain, shows_all_about_one_with_problems_and_hints) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.start_fastrpcd();
    Client client = system.client();
    FakeHost host = system.connect_control();
    Description about = root_of(Domain::cdsp, PdState::failed);
    about.profile = "misc 6.12\x1b[2J";
    about.backend = "misc";
    about.reason = "no shell";
    about.capabilities[6] = 0x8768;
    ASSERT_EQ(host.described(about), 0U);
    auto open = system.open_session(client);
    ASSERT_TRUE(open.host.say(ControlOp::bye, ByeMessage{"stuck", {}, 3}));
    ASSERT_TRUE(at_end(open.host.socket.get()));
    const auto status = [&](std::vector<std::string> arguments) {
        auto outcome = std::async(std::launch::async, [&] { return system.ctl(arguments); });
        EXPECT_TRUE(host.answer_query({.calls = 7, .in_flight = 1}));
        return outcome.get();
    };
    const Outcome text = status({"domain", "status", "cdsp"});
    EXPECT_EQ(text.code, 0) << text.errors;
    for (const char* part :
         {"cdsp: failed, generation 1", "misc 6.12?[2J", "3/222 used (0 granted, 3 lost)", "architecture=0x8768",
          "PD root: failed, no shell; calls 7", "problem: root: no shell", "problem: 3 of its 255 call contexts",
          "hint: lost contexts come back", "hint: the host's log says more", "/dev/fastrpc-cdsp"})
        EXPECT_TRUE(has(text.output, part)) << part << "\n" << text.output;
    EXPECT_FALSE(has(text.output, "\x1b"));
    const json said = json::parse(status({"domain", "status", "cdsp", "--json"}).output, nullptr, false);
    EXPECT_EQ(said["capabilities"]["architecture"], 0x8768);
    EXPECT_EQ(said["capabilities"].size(), 1U);
    EXPECT_EQ(said["pds"][0]["usage"]["in-flight"], 1);
    EXPECT_EQ(said["contexts-lost"], 3);
    EXPECT_EQ(said["problems"].size(), 2U);
    EXPECT_EQ(said["hints"].size(), 2U);
    const Outcome wrong = system.ctl({"domain", "status", "bdsp"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_TRUE(has(wrong.errors, "\"bdsp\"; this machine has: cdsp")) << wrong.errors;
}

TEST(CtlMonitor, tells_a_restart_of_a_dsp_and_the_life_of_a_session_in_order) {
    PrivateSystem system({.start = false});
    system.add_node("fastrpc-cdsp");
    system.start_fastrpcd();
    Client client = system.client();
    Watching watching(system, {"--json", "--count", "6"});
    ASSERT_EQ(watching.listening, "fastrpcctl: listening");
    system.remove_node("fastrpc-cdsp");
    system.add_node("fastrpc-cdsp");
    json event = watching.next_json();
    EXPECT_EQ(event["event"], "state");
    EXPECT_EQ(event["object"], "domain/cdsp");
    EXPECT_EQ(event["before"], "online");
    EXPECT_EQ(event["now"], "absent");
    EXPECT_GT(event["time-usec"], 1'000'000'000'000'000);
    event = watching.next_json();
    EXPECT_EQ(event["event"], "state");
    EXPECT_EQ(event["now"], "online");
    event = watching.next_json();
    EXPECT_EQ(event["event"], "generation");
    EXPECT_EQ(event["before"], 1);
    EXPECT_EQ(event["now"], 2);
    EXPECT_EQ(event["reason"], "the DSP is back with its nodes");

    auto open = system.open_session(client);
    event = watching.next_json();
    EXPECT_EQ(event["event"], "object-added");
    EXPECT_EQ(event["path"], open.path);
    EXPECT_EQ(event["interfaces"], json::array({"Session"}));
    EXPECT_EQ(event["state"], "ready");
    Description lost = open.host.about();
    lost.state = PdState::failed;
    ASSERT_TRUE(open.host.say(ControlOp::state, lost));
    open.host.bye("over");
    event = watching.next_json();
    EXPECT_EQ(event["object"], "session/" + open.path.substr(open.path.rfind('/') + 1));
    EXPECT_EQ(event["before"], "ready");
    EXPECT_EQ(event["now"], "lost");
    EXPECT_EQ(watching.next_json()["event"], "object-removed");
    EXPECT_EQ(watching.child().wait(), 0);
}

TEST(CtlMonitor, a_line_for_people_cannot_drive_the_terminal_and_sigint_is_a_good_end) {
    PrivateSystem system;
    Watching watching(system, {});
    ASSERT_EQ(watching.listening, "fastrpcctl: listening");
    FakeHost host = system.connect_control();
    ASSERT_EQ(host.described(root_of(Domain::adsp)), 0U);
    EXPECT_TRUE(has(watching.next(), "  domain/adsp  object-added (online)"));
    EXPECT_TRUE(has(watching.next(), "  domain/adsp/pd/root  object-added (running)"));
    Description news = root_of(Domain::adsp, PdState::restarting);
    news.reason = "evil\x1b[2J";
    ASSERT_TRUE(host.say(ControlOp::state, news));
    EXPECT_TRUE(has(watching.next(), "  domain/adsp/pd/root  state running > restarting: evil?[2J"));
    EXPECT_TRUE(has(watching.next(), "  domain/adsp  state online > recovering"));
    watching.child().kill(SIGINT);
    EXPECT_EQ(watching.child().wait(), 0);
}

TEST(CtlMonitor, waits_for_fastrpcd_and_tells_its_coming_and_going) {
    PrivateSystem system({.start = false});
    Watching watching(system, {"--count", "2"});
    EXPECT_EQ(watching.listening, "fastrpcctl: listening; fastrpcd does not run yet");
    system.start_fastrpcd();
    EXPECT_TRUE(has(watching.next(), "fastrpcd-started"));
    system.stop_fastrpcd();
    EXPECT_TRUE(has(watching.next(), "fastrpcd-stopped"));
    EXPECT_EQ(watching.child().wait(), 0);
}
