// fastrpcctl metrics: the grammar of both forms, and promtool's own opinion where it is installed.
#include "ctl/metrics.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <regex>
#include <set>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;
using fastrpc::ctl::test::lines_of;

namespace {

class CtlMetrics : public testing::Test {
protected:
    PrivateSystem system;
    Client client = system.client(65534);
    FakeHost pd = system.connect_control();
    std::optional<PrivateSystem::Open> open;

    void SetUp() override {
        ASSERT_EQ(pd.described(root_of(Domain::adsp)), 0U);
        open.emplace(system.open_session(client));
        open->host.latency = took();
    }
    static Latency took() {
        Latency latency{.sum_ns = 30'000'000};
        latency.calls[0] = 5;
        latency.calls[5] = 14; // up to 128 us
        latency.calls.back() = 1;
        return latency;
    }
    std::string metrics(std::vector<std::string> more = {}) {
        more.insert(more.begin(), "metrics");
        auto outcome = std::async(std::launch::async, [&] { return system.ctl(more); });
        for (int round = 0; round < 3; ++round) {
            EXPECT_TRUE(pd.answer_query({.reverse_calls = 5, .files_served = 3}));
            EXPECT_TRUE(open->host.answer_query({.calls = 20, .bytes = 300, .p50_us = 55, .p99_us = 1500}));
        }
        const Outcome done = outcome.get();
        EXPECT_EQ(done.code, 0) << done.errors;
        return done.output;
    }
    // Each family has its head once and its samples behind it, with names and values of the right form.
    static void expect_grammar(const std::string& text, bool openmetrics) {
        const std::regex head("# (TYPE|UNIT|HELP) ([a-z_]+) (.+)");
        const std::regex sample(R"re(([a-z_]+)(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? ([0-9.e+-]+))re");
        std::set<std::string> seen;
        std::map<std::string, std::string> type;
        std::string family;
        auto lines = lines_of(text);
        if (openmetrics) {
            ASSERT_EQ(lines.back(), "# EOF");
            lines.pop_back();
        }
        for (const std::string& line : lines) {
            std::smatch part;
            if (std::regex_match(line, part, head)) {
                if (part[1] == "TYPE") {
                    family = part[2];
                    EXPECT_TRUE(seen.insert(family).second) << family << " stands twice";
                    type[family] = part[3];
                }
                EXPECT_EQ(part[2], family);
                EXPECT_TRUE(part[1] != "UNIT" || family.ends_with("_" + part[3].str())) << line;
                continue;
            }
            ASSERT_TRUE(std::regex_match(line, part, sample)) << line;
            const bool counter = type[family] == "counter";
            if (type[family] == "histogram") {
                const std::string ending = part[1].str().substr(family.size());
                EXPECT_TRUE(part[1].str().starts_with(family)) << line;
                EXPECT_TRUE(ending == "_bucket" || ending == "_count" || ending == "_sum") << line;
                EXPECT_EQ(ending == "_bucket", has(line, "le=\"")) << line;
                continue;
            }
            EXPECT_EQ(part[1], counter && openmetrics ? family + "_total" : family) << line;
            EXPECT_EQ(part[1].str().ends_with("_total"), counter) << line;
        }
    }
};

} // namespace

TEST_F(CtlMetrics, openmetrics_keeps_its_grammar) {
    const std::string text = metrics();
    expect_grammar(text, true);
    for (const char* line :
         {"fastrpc_calls_total 20\n", "fastrpc_reverse_calls_total 5\n", "fastrpc_sessions_opened_total 1\n",
          "fastrpc_charged_sessions 1\n", R"(fastrpc_domain_state{domain="adsp",state="online"} 1)",
          R"(fastrpc_pd_running{domain="adsp",pd="root"} 1)", R"(quantile="0.99"} 0.0015)", R"(uid="65534")",
          "fastrpc_asking_sessions 0\n", R"(fastrpc_kind_sessions_opened_total{domain="cdsp",pd="unsigned"} 1)"})
        EXPECT_TRUE(has(text, line)) << line << '\n' << text;
}

TEST_F(CtlMetrics, prometheus_form_names_counters_with_their_ending) {
    const std::string text = metrics({"--format", "prometheus"});
    expect_grammar(text, false);
    EXPECT_TRUE(has(text, "# TYPE fastrpc_calls_total counter\n")) << text;
    if (std::system("command -v promtool >/dev/null") != 0) return; // the grammar above has to do
    const auto file = system.directory() / "metrics";
    std::ofstream(file) << text;
    EXPECT_EQ(std::system(("promtool check metrics < " + file.string()).c_str()), 0);
}

TEST_F(CtlMetrics, a_histogram_of_calls_counts_up_to_each_bound_and_outlives_its_session) {
    const std::string text = metrics();
    const auto sample = [](const std::string& ending, const std::string& more, const std::string& value) {
        return "fastrpc_call_duration_seconds" + ending + R"({domain="cdsp",pd="unsigned")" + more + "} " + value +
               "\n";
    };
    for (const auto& line :
         {sample("_bucket", R"(,le="4e-06")", "5"), sample("_bucket", R"(,le="6.4e-05")", "5"),
          sample("_bucket", R"(,le="0.000128")", "19"), sample("_bucket", R"(,le="8.388608")", "19"),
          sample("_bucket", R"(,le="+Inf")", "20"), sample("_count", "", "20"), sample("_sum", "", "0.03")})
        EXPECT_TRUE(has(text, line)) << line << '\n' << text;
    ASSERT_TRUE(open->host.say(ControlOp::latency, took()));
    ASSERT_TRUE(open->host.bye("the client closed its end", {.calls = 20}));
    ASSERT_TRUE(client.until([&] { return has(system.ctl({"session", "list"}).output, "no session"); }));
    open.reset();
    auto outcome = std::async(std::launch::async, [&] { return system.ctl({"metrics"}); });
    for (int round = 0; round < 3; ++round) EXPECT_TRUE(pd.answer_query({}));
    const std::string after = outcome.get().output;
    EXPECT_TRUE(has(after, sample("_count", "", "20"))) << after;
    EXPECT_FALSE(has(after, "fastrpc_session_calls_total")) << after;
}

TEST_F(CtlMetrics, a_host_of_before_is_not_asked_for_its_latency) {
    FakeHost older = system.connect_control();
    older.version = control_latency - 1;
    ASSERT_EQ(older.described(session_of(99, 65534)), 0U);
    auto outcome = std::async(std::launch::async, [&] { return system.ctl({"metrics"}); });
    for (int round = 0; round < 3; ++round) {
        EXPECT_TRUE(pd.answer_query({}));
        EXPECT_TRUE(open->host.answer_query({}));
        const auto asked = older.receive_any();
        ASSERT_TRUE(asked);
        EXPECT_EQ(asked->header.opcode, static_cast<std::uint16_t>(ControlOp::query));
        ASSERT_TRUE(
            older.send(ControlOp::query, encode(Counters{.calls = 7}, older.version), asked->header.cookie, true));
    }
    EXPECT_EQ(outcome.get().code, 0);
}

TEST_F(CtlMetrics, what_a_host_does_not_answer_has_no_sample) {
    using fastrpc::ctl::metrics_text, fastrpc::ctl::MetricsForm;
    json all = json::parse(system.ctl({"--json", "list"}).output, nullptr, false); // nobody answers
    all["status"] = json::object();
    const std::string text = metrics_text(all, MetricsForm::openmetrics);
    expect_grammar(text, true);
    EXPECT_FALSE(has(text, "fastrpc_session_calls_total")) << text;
}

TEST(CtlMetricsText, what_would_break_a_label_is_escaped) {
    using fastrpc::ctl::metrics_text, fastrpc::ctl::MetricsForm;
    const json all{{"totals", json::object()},
                   {"status", json::object()},
                   {"domains", json::array()},
                   {"queue", json::array()},
                   {"sessions", json::array()},
                   {"pds",
                    {{{"domain", "a\"b\\c\nd"},
                      {"pd", "root"},
                      {"state", "running"},
                      {"restarts", 0},
                      {"files-served", 0},
                      {"bytes-served", 0},
                      {"files-missing", 0},
                      {"usage", nullptr}}}}};
    EXPECT_TRUE(has(metrics_text(all, MetricsForm::openmetrics), R"(domain="a\"b\\c\nd")"));
}
