// Faults: each of them on a real PD, and rules that are none.
#include "host_side.hpp"

#include "vdsp/dsp/faults.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint32_t sum = 0x03010100;
constexpr auto a_while = 30ms; // in which an answer that must not come would have come many times

class FaultsTest : public HostTest {
protected:
    void set(const std::string& rules) {
        const auto done = dsp->command(R"({"command":"faults","domain":"cdsp","rules":)" + rules + "}");
        ASSERT_TRUE(done) << done.error().text;
    }
    Sent send_sum(std::int32_t tid = 90) {
        return send(3, 1, tid, module, sum, {input(bytes_of_value(std::array{2U, 3U})), output(8)});
    }
    std::int32_t call(std::int32_t tid = 90) { return finish(send_sum(tid)); }
    /// Waits a while for what must not come.
    bool comes(const Sent& sent, std::chrono::milliseconds time = a_while) {
        const auto end = Clock::now() + time;
        while (!answered(sent) && Clock::now() < end) machine.wait_change(5ms);
        return answered(sent);
    }
    json rule(std::size_t index = 0) { return json::parse(status())["faults"].at(index); }
    json user_pd() {
        const json all = json::parse(status());
        for (const json& pd : all["pds"])
            if (pd["kind"] == "unsigned") return pd;
        return json();
    }
    std::uint32_t module = run_test_module();
};

TEST_F(FaultsTest, a_hung_call_takes_its_dsp_thread_and_no_other) {
    set(R"([{"handle":)" + std::to_string(module) + R"(,"method":3,"count":1,"do":"hang"}])");
    const Sent hung = send_sum();
    const Sent behind = send_sum();
    EXPECT_EQ(call(91), 0) << "another thread";
    EXPECT_FALSE(comes(hung));
    EXPECT_FALSE(answered(behind));
    EXPECT_EQ(release(3), 0);
    EXPECT_EQ(finish(hung), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(finish(behind), aee::on_dsp(aee::bad_state));
}

TEST_F(FaultsTest, a_dropped_answer_is_of_a_call_that_ran) {
    set(R"([{"method":3,"from":2,"count":1,"do":"drop"}])");
    EXPECT_EQ(call(), 0);
    const Sent dropped = send_sum();
    EXPECT_EQ(call(), 0) << "on the same thread, so the dropped one is over";
    EXPECT_FALSE(answered(dropped));
    EXPECT_EQ(value_at<std::uint64_t>(dropped.out(0)), 5U);
    EXPECT_EQ(rule()["seen"], 3);
    EXPECT_EQ(rule()["hits"], 1);
}

TEST_F(FaultsTest, a_wrong_answer_has_another_result_or_another_context) {
    set(R"([{"method":3,"count":1,"do":"wrong"},{"method":3,"do":"wrong","context":true}])");
    EXPECT_EQ(call(), -1);
    const Sent strange = send_sum();
    run_until([&] { return machine.answer(~strange.context).has_value(); });
    EXPECT_FALSE(answered(strange));
}

TEST_F(FaultsTest, a_late_answer_comes_late_and_the_thread_goes_on) {
    set(R"([{"method":3,"count":1,"do":"late","ms":120}])");
    const auto begin = Clock::now();
    const Sent late = send_sum();
    EXPECT_EQ(call(), 0);
    EXPECT_EQ(finish(late), 0);
    EXPECT_GE(Clock::now() - begin, 120ms);
    const auto log = machine.log();
    EXPECT_EQ(log.back().first, late.context) << "after the call that was sent after it";
}

TEST_F(FaultsTest, a_duplicate_answer_comes_twice) {
    machine.may_repeat = true;
    set(R"([{"method":3,"count":1,"do":"duplicate"}])");
    const Sent twice = send_sum();
    run_until([&] {
        const auto log = machine.log();
        return std::ranges::count(log, std::pair(twice.context, std::int32_t{0})) == 2;
    });
}

TEST_F(FaultsTest, a_result_is_answered_without_the_call) {
    set(R"([{"method":3,"count":1,"do":"result","code":"0x80000414"},{"method":3,"do":"result","code":-5}])");
    const Sent refused = send_sum();
    EXPECT_EQ(finish(refused), static_cast<std::int32_t>(0x80000414));
    EXPECT_EQ(value_at<std::uint64_t>(refused.out(0)), 0U);
    EXPECT_EQ(call(), -5);
    set("[]");
    EXPECT_EQ(call(), 0);
    EXPECT_TRUE(json::parse(status())["faults"].empty());
}

TEST_F(FaultsTest, a_crash_ends_the_pd_of_the_call) {
    set(R"([{"pd":"user","method":3,"count":1,"do":"crash"}])");
    EXPECT_EQ(call(), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(call(), aee::no_such);
    EXPECT_EQ(json::parse(status())["crashes"], 1);
    EXPECT_EQ(user_pd()["state"], "crashed");
}

TEST_F(FaultsTest, a_pd_that_leaves_in_order_is_no_crash) {
    set(R"([{"method":3,"count":1,"do":"exit"}])");
    EXPECT_EQ(call(), aee::on_dsp(aee::bad_state));
    run_until([&] { return user_pd().is_null(); });
    EXPECT_EQ(call(), aee::no_such);
    EXPECT_EQ(json::parse(status())["crashes"], 0);
    EXPECT_EQ(create(3), 0) << "and the client may begin anew";
}

TEST_F(FaultsTest, a_restart_is_the_machines_to_do) {
    set(R"([{"method":3,"count":1,"do":"restart","down_ms":250}])");
    const Sent lost = send_sum();
    run_until([&] { return machine.crashes == 1; });
    EXPECT_EQ(machine.down_ms, 250);
    EXPECT_FALSE(answered(lost));
}

TEST_F(FaultsTest, a_latency_is_added_as_it_is_distributed) {
    const auto time = [&] {
        const auto begin = Clock::now();
        EXPECT_EQ(call(), 0);
        return Clock::now() - begin;
    };
    set(R"([{"method":3,"do":"latency","latency":{"us":60000}}])");
    EXPECT_GE(time(), 60ms);
    set(R"([{"method":3,"do":"latency","latency":{"min_us":30000,"max_us":40000}}])");
    EXPECT_GE(time(), 30ms);
    set(R"([{"method":3,"do":"latency","latency":{"mean_us":100,"p99_us":300}}])");
    EXPECT_LT(time(), 20s);
}

TEST_F(FaultsTest, a_caller_that_converses_meets_the_same_faults) {
    set(R"([{"method":3,"count":1,"do":"result","code":7},{"method":3,"count":1,"do":"hang"}])");
    const auto converse = [&](std::int32_t tid) {
        const auto call = prepare(3, 1, tid, module, sum, {input(bytes_of_value(std::array{2U, 3U})), output(8)});
        const Woken how = dsp->converse(call.second, {}, Clock::now() + 1s, [&] { return answered(call.first); });
        return std::pair(how, machine.answer(call.first.context));
    };
    EXPECT_EQ(converse(90), std::pair(Woken::done, std::optional(7)));
    EXPECT_EQ(converse(91), std::pair(Woken::late, std::optional<std::int32_t>()));
    EXPECT_EQ(converse(92), std::pair(Woken::done, std::optional(0)));
}

TEST_F(FaultsTest, calls_of_the_kernel_are_hit_too) {
    set(R"([{"handle":1,"method":7,"count":1,"do":"result","code":1},)"
        R"({"handle":1,"method":7,"count":1,"do":"hang"},)"
        R"({"handle":1,"method":7,"count":1,"do":"late","ms":50},)"
        R"({"handle":1,"pd":"root","method":0,"count":1,"do":"crash"}])");
    EXPECT_EQ(create(4), 1);
    const Memory& init = machine.allocate(5, 4096);
    const kernel_call::CreateBody body{5, 2, 5, 1, attribute::unsigned_module, 0};
    const Sent hung = send(0, 1, 1, 1, kernel_call::create_attr.word,
                           {input(bytes_of_value(body)), input(bytes_of_value("a")), input(bytes_of_text("shell")),
                            input(bytes_of_value(kernel_call::Page{init.address, init.size}))});
    EXPECT_FALSE(comes(hung));
    const auto begin = Clock::now();
    EXPECT_EQ(create(6), 0);
    EXPECT_GE(Clock::now() - begin, 50ms);
    EXPECT_EQ(attach(7), aee::on_dsp(aee::bad_state));
    run_until([&] { return json::parse(status())["crashes"] == 1; });
    EXPECT_EQ(attach(7), 0);
}

TEST_F(FaultsTest, the_commands_crash_and_exit_name_a_pd) {
    EXPECT_FALSE(dsp->command(R"({"command":"crash"})"));
    EXPECT_FALSE(dsp->command(R"({"command":"crash","pd":99})"));
    EXPECT_FALSE(dsp->command(R"({"command":"crash","pd":"user","when":"now"})"));
    EXPECT_FALSE(dsp->command(R"({"command":"crash","pd":"user","domain":"adsp"})"));
    EXPECT_FALSE(dsp->command(R"({"command":"dance"})"));
    EXPECT_FALSE(dsp->command("no JSON"));
    const pid_t pid = user_pd()["pid"];
    const auto crashed = dsp->command(R"({"command":"crash","domain":"cdsp","pd":3})");
    ASSERT_TRUE(crashed);
    EXPECT_EQ(json::parse(*crashed)["pid"], pid);
    run_until([&] { return user_pd()["state"] == "crashed"; });
    ASSERT_TRUE(dsp->command(R"({"command":"exit","pd":"root"})"));
    run_until([&] { return json::parse(status())["pds"].size() == 1; });
    EXPECT_EQ(json::parse(status())["crashes"], 1);
    EXPECT_EQ(attach(5), 0);
}

TEST(FaultRules, say_what_is_wrong_with_them) {
    Faults faults;
    const auto refused = [&](std::string_view rules, std::string_view key) {
        const Status set = faults.set(rules);
        if (set) return ADD_FAILURE() << rules << " was accepted", false;
        return set.error().text.find(key) != std::string::npos || (ADD_FAILURE() << set.error().text, false);
    };
    EXPECT_TRUE(refused("{", "list"));
    EXPECT_TRUE(refused(R"({"rules":[],"rule":[]})", "\"rule\""));
    EXPECT_TRUE(refused(R"({"command":"faults"})", "\"rules\""));
    EXPECT_TRUE(refused(R"([{"do":"drop"},7])", "rule 1"));
    EXPECT_TRUE(refused(R"([{"do":"drop"},{"do":"drip"}])", "rule 1: \"do\""));
    EXPECT_TRUE(refused(R"([{"method":3}])", "\"do\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","Pd":"user"}])", "\"Pd\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","pd":"users"}])", "\"pd\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","handle":-1}])", "\"handle\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","method":32}])", "\"method\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","from":0}])", "\"from\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","count":1.5}])", "\"count\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","probability":1.1}])", "\"probability\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","seed":"x"}])", "\"seed\""));
    EXPECT_TRUE(refused(R"([{"do":"late"}])", "\"ms\""));
    EXPECT_TRUE(refused(R"([{"do":"drop","ms":3}])", "\"ms\""));
    EXPECT_TRUE(refused(R"([{"do":"result","code":"80000414"}])", "\"code\""));
    EXPECT_TRUE(refused(R"([{"do":"result","code":4294967296}])", "\"code\""));
    EXPECT_TRUE(refused(R"([{"do":"wrong","context":1}])", "\"context\""));
    EXPECT_TRUE(refused(R"([{"do":"restart","down_ms":-1}])", "\"down_ms\""));
    EXPECT_TRUE(refused(R"([{"do":"latency","latency":5}])", "\"latency\""));
    EXPECT_TRUE(refused(R"([{"do":"latency","latency":{}}])", "\"us\""));
    EXPECT_TRUE(refused(R"([{"do":"latency","latency":{"min_us":5,"max_us":4}}])", "\"max_us\""));
    EXPECT_TRUE(refused(R"([{"do":"latency","latency":{"mean_us":5,"p99_us":500}}])", "\"p99_us\""));
    EXPECT_TRUE(refused(R"([{"do":"latency","latency":{"us":5,"min_us":4}}])", "\"max_us\""));
}

TEST(FaultRules, a_refused_set_changes_nothing) {
    Faults faults;
    ASSERT_TRUE(faults.set(R"([{"do":"drop"}])"));
    EXPECT_FALSE(faults.set(R"([{"do":"hang"},{"do":"?"}])"));
    EXPECT_EQ(faults.hit("user", 20, 2)->kind, Fault::Kind::drop);
    ASSERT_TRUE(faults.set("[]"));
    EXPECT_FALSE(faults.active());
    EXPECT_FALSE(faults.hit("user", 20, 2));
}

TEST(FaultRules, match_by_pd_handle_and_method_and_hit_from_the_kth_on) {
    Faults faults;
    ASSERT_TRUE(faults.set(R"([{"pd":"audio","handle":20,"method":4,"from":3,"count":2,"do":"drop"}])"));
    EXPECT_FALSE(faults.hit("user", 20, 4));
    EXPECT_FALSE(faults.hit("audio", 21, 4));
    EXPECT_FALSE(faults.hit("audio", 20, 5));
    std::string pattern;
    for (int i = 0; i < 6; ++i) pattern += faults.hit("audio", 20, 4) ? 'x' : '.';
    EXPECT_EQ(pattern, "..xx..");
}

TEST(FaultRules, probability_is_repeatable_by_its_seed) {
    const auto pattern = [](int seed) {
        Faults faults;
        EXPECT_TRUE(faults.set(R"([{"do":"drop","probability":0.25,"seed":)" + std::to_string(seed) + "}]"));
        std::string hits;
        for (int i = 0; i < 4000; ++i) hits += faults.hit("user", 20, 2) ? 'x' : '.';
        return hits;
    };
    EXPECT_EQ(pattern(1), pattern(1));
    EXPECT_NE(pattern(1), pattern(2));
    EXPECT_NEAR(static_cast<double>(std::ranges::count(pattern(1), 'x')), 1000, 100);
}

TEST(FaultRules, latencies_have_the_mean_and_the_percentile_that_were_asked_for) {
    const auto draw = [](const char* latency) {
        Faults faults;
        EXPECT_TRUE(faults.set(std::string(R"([{"do":"latency","latency":)") + latency + "}]"));
        std::vector<double> drawn;
        for (int i = 0; i < 50'000; ++i)
            drawn.push_back(static_cast<double>(faults.hit("user", 20, 2)->delay.count()) / 1000);
        std::ranges::sort(drawn);
        return drawn;
    };
    const auto mean = [](const std::vector<double>& values) {
        double total = 0;
        for (const double value : values) total += value;
        return total / static_cast<double>(values.size());
    };
    const auto skewed = draw(R"({"mean_us":200,"p99_us":900})");
    EXPECT_NEAR(mean(skewed), 200, 10);
    EXPECT_NEAR(skewed[skewed.size() * 99 / 100], 900, 90);
    const auto even = draw(R"({"min_us":100,"max_us":300})");
    EXPECT_GE(even.front(), 100);
    EXPECT_LE(even.back(), 300);
    EXPECT_NEAR(mean(even), 200, 5);
    EXPECT_EQ(draw(R"({"us":42})").front(), 42);
}

TEST(FaultRules, that_are_malformed_at_the_start_are_an_error_there) {
    FakeMachine machine;
    EXPECT_THROW(make_dsp({.pd_program = VDSP_PD, .faults = R"([{"do":"?"}])"}, machine, nullptr),
                 std::invalid_argument);
}

} // namespace
} // namespace fastrpc::vdsp::test
