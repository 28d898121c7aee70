// fastrpcctl on a whole system: verbs that open sessions, and the live table of those that there are.
#include "tests/integration/system.hpp"

#include <array>
#include <poll.h>
#include <pty.h>
#include <termios.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class CtlSystem : public testing::Test {
protected:
    static void SetUpTestSuite() { system_ = start_system({.cdsp_slots = 3}); } // one of them is the root PD's
    static void TearDownTestSuite() { system_.reset(); }

    // Each test finds the DSP free.
    void SetUp() override {
        ASSERT_TRUE(stack::eventually([] { return sessions() == 0; }));
    }

    static stack::Outcome ctl(std::vector<std::string> arguments, const std::string& user = "nobody") {
        const auto outcome = stack::run(system_->client("ctl/fastrpcctl", std::move(arguments), user), 120s);
        EXPECT_TRUE(outcome) << outcome.error().text;
        return outcome ? *outcome : stack::Outcome{};
    }
    static std::size_t sessions() { return ctl_list(*system_).value("sessions", json::array()).size(); }
    static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

    inline static System system_;
};

} // namespace

TEST_F(CtlSystem, bench_measures_every_step_without_a_module) {
    const auto outcome = ctl({"bench", "--count", "3", "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    const json figures = json::parse(outcome.output, nullptr, false);
    ASSERT_EQ(figures["steps"].size(), 5U) << outcome.output;
    for (const json& step : figures["steps"]) {
        EXPECT_TRUE(step["error"].is_null()) << step.dump();
        EXPECT_EQ(step["count"], 3) << step.dump();
        EXPECT_LE(step["p50-us"], step["p99-us"]);
    }
    EXPECT_TRUE(has(ctl({"bench", "--count", "1"}).output, "P99 (us)"));
}

TEST_F(CtlSystem, run_becomes_the_command_which_is_told_to_wait_as_long) {
    const auto outcome = ctl({"run", "--wait", "30", "--", "/bin/sh", "-c", "echo $FASTRPC_WAIT_MS; exit 7"});
    EXPECT_EQ(outcome.code, 7) << outcome.errors;
    EXPECT_EQ(outcome.output, "30000\n");
    EXPECT_TRUE(stack::eventually([] { return sessions() == 0; }));
    const auto missing = ctl({"-q", "run", "--", "/no/such/program"});
    EXPECT_EQ(missing.code, 2);
    EXPECT_TRUE(has(missing.errors, "/no/such/program cannot be started")) << missing.errors;
}

TEST_F(CtlSystem, run_waits_for_a_place_and_says_when_there_was_none_in_time) {
    Caller first(*system_, {}), second(*system_, {}, "mail");
    ASSERT_TRUE(first.calling());
    ASSERT_TRUE(second.calling());
    const auto late = ctl({"run", "--wait", "1", "--", "/bin/true"});
    EXPECT_EQ(late.code, 2) << late.output << late.errors;
    std::thread leaving([&] {
        std::this_thread::sleep_for(500ms);
        first.finish();
    });
    const auto served = ctl({"run", "--wait", "60", "--", "/bin/echo", "served"});
    leaving.join();
    EXPECT_EQ(served.code, 0) << served.errors;
    EXPECT_EQ(served.output, "served\n");
    second.finish();
}

TEST_F(CtlSystem, a_command_that_knows_nothing_of_queues_waits_in_one) {
    Caller first(*system_, {}), second(*system_, {}, "mail");
    ASSERT_TRUE(first.calling());
    ASSERT_TRUE(second.calling());
    std::thread leaving([&] {
        std::this_thread::sleep_for(500ms);
        first.finish();
    });
    auto launch = system_->client("tests/integration/fastrpc-caller", caller_arguments({"--calls", "1"}));
    launch.environment["FASTRPC_WAIT_MS"] = "60000";
    const auto outcome = stack::run(launch, 120s);
    leaving.join();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->code, 0) << outcome->output << outcome->errors;
    second.finish();
}

TEST_F(CtlSystem, top_shows_who_calls_in_text_and_json) {
    Caller busy(*system_, {});
    ASSERT_TRUE(busy.calling());
    const auto text = ctl({"top", "-b", "-n", "2", "-d", "0.3"}, "");
    EXPECT_EQ(text.code, 0) << text.errors;
    EXPECT_TRUE(has(text.output, "SESSION")) << text.output;
    EXPECT_TRUE(has(text.output, "nobody")) << text.output;
    const auto tables = ctl({"top", "--json", "-n", "2", "-d", "0.3", "--by-uid"}, "");
    const json second = json::parse(tables.output.substr(tables.output.find('\n') + 1), nullptr, false);
    ASSERT_TRUE(second.is_object()) << tables.output;
    EXPECT_GT(second["rows"][0]["calls-per-s"].get<double>(), 0.0) << second.dump(1);
    EXPECT_EQ(second["rows"][0]["uid"], 65534);
    const auto terminal = ctl({"top"}, "");
    EXPECT_EQ(terminal.code, 2);
    EXPECT_TRUE(has(terminal.errors, "--batch")) << terminal.errors;
    busy.finish();
}

TEST_F(CtlSystem, top_on_a_terminal_obeys_its_keys_and_leaves_the_screen_as_it_was) {
    int terminal = -1, inside = -1;
    const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::openpty(&terminal, &inside, nullptr, nullptr, &size), 0);
    const UniqueFd reading(terminal);
    UniqueFd slave(inside);
    termios before{};
    ::tcgetattr(slave.get(), &before);
    auto launch = system_->client("ctl/fastrpcctl", {"top", "-d", "60"}, "");
    launch.input = launch.output = slave.get();
    auto process = stack::Process::start(launch);
    ASSERT_TRUE(process);
    std::string seen;
    const auto until = [&](const std::string& part) {
        return stack::eventually([&] {
            std::array<char, 4096> bytes{};
            pollfd wanted{reading.get(), POLLIN, 0};
            if (::poll(&wanted, 1, 100) > 0)
                if (const ssize_t got = ::read(reading.get(), bytes.data(), bytes.size()); got > 0)
                    seen.append(bytes.data(), static_cast<std::size_t>(got));
            return has(seen, part);
        });
    };
    EXPECT_TRUE(until("\x1b[?1049h") && until("no session")) << seen;
    EXPECT_TRUE(has(seen, "SESSION"));
    ASSERT_EQ(::write(reading.get(), "u", 1), 1);
    EXPECT_TRUE(until("SESSIONS")) << seen;
    ASSERT_EQ(::write(reading.get(), "q", 1), 1);
    EXPECT_TRUE(until("\x1b[?1049l")) << seen;
    const auto status = process->wait(30s);
    ASSERT_TRUE(status);
    EXPECT_EQ(stack::exit_code(*status), 0);
    termios after{};
    ::tcgetattr(slave.get(), &after);
    EXPECT_EQ(after.c_lflag, before.c_lflag);
}
