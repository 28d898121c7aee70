// fastrpcctl pd and files against a real fastrpcd, with the test as the PDs' hosts.
#include "tests/unit/broker/ctl_process.hpp"

#include <csignal>
#include <future>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

FileReport opened(std::uint64_t sequence, const std::string& name) {
    return {.sequence = sequence, .name = name, .places = {"/usr/lib/dsp/" + name}, .opens = 2, .bytes_read = 4096};
}
FileReport missed(std::uint64_t sequence, const std::string& name) {
    return {.sequence = sequence,
            .name = name,
            .places = {"/usr/lib/dsp/adsp/" + name, "/usr/lib/dsp/" + name},
            .problem = "not found",
            .refusals = 3};
}

class CtlPd : public testing::Test {
protected:
    PrivateSystem system;
    FakeHost host = system.connect_control();

    void SetUp() override { ASSERT_EQ(host.described(root_of(Domain::adsp)), 0U); }
    std::future<Outcome> ctl(std::vector<std::string> arguments) {
        return std::async(std::launch::async,
                          [this, words = std::move(arguments)]() mutable { return system.ctl(std::move(words)); });
    }
    bool is_now(PdState state, std::uint64_t generation, const std::string& reason) {
        Description about = root_of(Domain::adsp, state);
        about.generation = generation;
        about.reason = reason;
        return host.say(ControlOp::state, about);
    }
};

} // namespace

TEST_F(CtlPd, lists_the_static_pds_without_asking_their_hosts) {
    Description about = root_of(Domain::adsp, PdState::restarting);
    about.reason = "the DSP\x1b[2J went away";
    ASSERT_TRUE(host.say(ControlOp::state, about));
    FakeHost second = system.connect_control();
    ASSERT_EQ(second.described(root_of(Domain::cdsp)), 0U);
    const Outcome text = system.ctl({"pd", "list"});
    EXPECT_EQ(text.code, 0) << text.errors;
    for (const char* part : {"DOMAIN", "SINCE", "adsp    root  restarting", "the DSP?[2J went away",
                             "cdsp    root  running", "4711", "/dev/fastrpc-x"})
        EXPECT_TRUE(has(text.output, part)) << part << "\n" << text.output;
    const json pds = json::parse(system.ctl({"pd", "list", "--json"}).output, nullptr, false)["pds"];
    ASSERT_EQ(pds.size(), 2U);
    EXPECT_EQ(pds[0]["state"], "restarting");
    EXPECT_EQ(pds[1]["unit"], "fastrpc-pd@cdsp-root.service");
    EXPECT_FALSE(readable(host.socket.get(), 0));
}

TEST_F(CtlPd, status_tells_what_its_files_came_to) {
    ASSERT_TRUE(
        host.say(ControlOp::counters,
                 Counters{.files_served = 5, .bytes_served = 77, .files_missing = 2, .last_missing = "libnot\x07.so"}));
    ASSERT_TRUE(is_now(PdState::running, 3, "attached and serving")); // and both have arrived
    json now = json::object();
    for (int i = 0; i < 100 && now.value("last-missing", "").empty(); ++i)
        now = json::parse(system.ctl({"pd", "status", "adsp", "root", "--json"}).output, nullptr, false);
    EXPECT_EQ(now["files-served"], 5);
    const Outcome text = system.ctl({"pd", "status", "adsp", "root"});
    EXPECT_EQ(text.code, 0) << text.errors;
    for (const char* part : {"adsp root: running, generation 3", "served:  5", "bytes:   77", "missing: 2",
                             "last:    libnot?.so", "fastrpcctl files --missing --domain adsp"})
        EXPECT_TRUE(has(text.output, part)) << part << "\n" << text.output;
    const Outcome wrong = system.ctl({"pd", "status", "adsp", "audio"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_TRUE(has(wrong.errors, "\"adsp audio\"; this machine has: adsp root")) << wrong.errors;
}

TEST_F(CtlPd, restart_waits_for_the_new_generation) {
    auto outcome = ctl({"pd", "restart", "adsp", "root"});
    const auto command = host.accept_command();
    ASSERT_TRUE(command);
    EXPECT_EQ(command->action, PdAction::restart);
    EXPECT_EQ(outcome.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
    ASSERT_TRUE(is_now(PdState::running, 4, "attached and serving"));
    const Outcome done = outcome.get();
    EXPECT_EQ(done.code, 0) << done.errors;
    EXPECT_EQ(done.output, "adsp root: running, generation 4, restarts 0\n");
}

TEST_F(CtlPd, stop_and_start_wait_until_it_is_so) {
    auto stop = ctl({"pd", "stop", "adsp", "root", "--json"});
    ASSERT_TRUE(host.accept_command());
    ASSERT_TRUE(is_now(PdState::stopped, 3, "stopped by uid 0 (root)"));
    EXPECT_EQ(json::parse(stop.get().output, nullptr, false)["state"], "stopped");
    auto start = ctl({"pd", "start", "adsp", "root"});
    ASSERT_TRUE(host.accept_command());
    ASSERT_TRUE(is_now(PdState::failed, 3, "no remote heap"));
    const Outcome failed = start.get();
    EXPECT_EQ(failed.code, 2);
    EXPECT_TRUE(has(failed.errors, "adsp root has failed: no remote heap")) << failed.errors;
}

TEST_F(CtlPd, who_may_not_is_told_so_with_the_exit_code_of_a_denial) {
    const Outcome denied = system.ctl_as(65534, {"pd", "stop", "adsp", "root"});
    EXPECT_EQ(denied.code, 1);
    EXPECT_TRUE(has(denied.errors, "only root may stop the root PD of adsp")) << denied.errors;
    EXPECT_EQ(system.ctl_as(65534, {"pd", "list"}).code, 0);
}

TEST_F(CtlPd, what_does_not_come_to_be_in_time_is_said_with_the_reason) {
    auto outcome = ctl({"pd", "stop", "adsp", "root", "--timeout", "1"});
    ASSERT_TRUE(host.accept_command());
    ASSERT_TRUE(is_now(PdState::running, 3, "the DSP keeps it"));
    const Outcome late = outcome.get();
    EXPECT_EQ(late.code, 2);
    EXPECT_TRUE(has(late.errors, "adsp root is running after 1 s: the DSP keeps it")) << late.errors;
}

TEST_F(CtlPd, files_are_listed_page_by_page_and_the_missing_ones_with_every_place) {
    const auto answer = [&] {
        EXPECT_EQ(host.answer_files({true, {opened(1, "liba.so"), missed(2, "lib\x1b[31mno.so")}}), 0U);
        EXPECT_EQ(host.answer_files({false, {opened(5, "libb.so")}}), 2U);
    };
    auto listing = ctl({"files"});
    answer();
    const Outcome all = listing.get();
    EXPECT_EQ(all.code, 0) << all.errors;
    EXPECT_EQ(all.output, "PD         NAME     OPENS  BYTES  WHERE\n"
                          "adsp root  liba.so  2      4096   /usr/lib/dsp/liba.so\n"
                          "adsp root  libb.so  2      4096   /usr/lib/dsp/libb.so\n"
                          "1 more were asked for in vain: fastrpcctl files --missing\n");
    auto missing = ctl({"files", "--missing", "--domain", "adsp"});
    answer();
    EXPECT_EQ(missing.get().output, "adsp root: lib?[31mno.so: not found, asked for 3 times\n"
                                    "    /usr/lib/dsp/adsp/lib?[31mno.so\n"
                                    "    /usr/lib/dsp/lib?[31mno.so\n");
    auto as_json = ctl({"files", "--missing", "--json"});
    answer();
    const json said = json::parse(as_json.get().output, nullptr, false);
    ASSERT_EQ(said["files"].size(), 1U);
    EXPECT_EQ(said["files"][0]["places"].size(), 2U);
    EXPECT_EQ(said["files"][0]["refusals"], 3);
    EXPECT_TRUE(said["files"][0]["session"].is_null());
    EXPECT_EQ(system.ctl({"files", "--domain", "cdsp"}).output, "none\n");
}

TEST_F(CtlPd, files_of_a_host_that_says_nothing_hide_no_other) {
    FakeHost second = system.connect_control();
    ASSERT_EQ(second.described(root_of(Domain::cdsp)), 0U);
    auto listing = ctl({"files"});
    ASSERT_EQ(second.answer_files({false, {opened(1, "liba.so")}}), 0U);
    const Outcome outcome = listing.get();
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(has(outcome.output, "cdsp root  liba.so")) << outcome.output;
    EXPECT_TRUE(has(outcome.output, "adsp root: its host did not answer: ")) << outcome.output;
}

TEST_F(CtlPd, a_host_whose_files_never_end_does_not_keep_fastrpcctl) {
    auto listing = ctl({"files", "--json"});
    for (std::uint64_t i = 1; i <= 1024; ++i) ASSERT_TRUE(host.answer_files({true, {opened(i, "x")}}));
    const json said = json::parse(listing.get().output, nullptr, false);
    EXPECT_EQ(said["files"].size(), 1024U);
}

TEST_F(CtlPd, follow_prints_news_as_they_come_and_sigint_is_a_good_end) {
    CtlProcess following(system, {"files", "--missing", "--follow", "--json"});
    ASSERT_EQ(host.answer_files({false, {missed(1, "first")}}), 0U);
    EXPECT_EQ(following.next_json()["name"], "first");
    ASSERT_EQ(host.answer_files({}), 1U);
    ASSERT_EQ(host.answer_files({false, {opened(2, "liba.so"), missed(3, "second")}}), 1U);
    EXPECT_EQ(following.next_json()["name"], "second");
    following.child().kill(SIGINT);
    EXPECT_EQ(following.child().wait(), 0);
}

TEST_F(CtlPd, follow_ends_when_nobody_reads_it_any_more) {
    CtlProcess following(system, {"files", "--follow"});
    ASSERT_EQ(host.answer_files({false, {opened(1, "liba.so")}}), 0U);
    EXPECT_EQ(following.next(), "adsp root: liba.so  /usr/lib/dsp/liba.so  opens 2, bytes 4096");
    following.close_output();
    EXPECT_EQ(following.child().wait(), 0);
}

TEST_F(CtlPd, follow_waits_for_a_fastrpcd_that_comes_back) {
    CtlProcess following(system, {"files", "--follow"});
    ASSERT_EQ(host.answer_files({}), 0U);
    system.kill_fastrpcd(SIGKILL);
    EXPECT_EQ(following.next_error(), "fastrpcctl: fastrpcd has ended; waiting for it");
    system.start_fastrpcd();
    FakeHost again = system.connect_control();
    ASSERT_EQ(again.described(root_of(Domain::adsp)), 0U);
    ASSERT_TRUE(again.answer_files({false, {opened(1, "liba.so")}}));
    EXPECT_TRUE(has(following.next(), "liba.so"));
    following.child().kill(SIGTERM);
    EXPECT_EQ(following.child().wait(), 0);
}
