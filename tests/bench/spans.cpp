#include "tests/bench/spans.hpp"

#include "ipc/frame.hpp"
#include "ipc/lane.hpp"
#include "tests/bench/call_spans.hpp"
#include "tests/bench/contenders.hpp"
#include "tests/bench/figures.hpp"
#include "tests/bench/ping_pong.hpp"
#include "tests/bench/session_hosts.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <numeric>

namespace fastrpc::bench {
namespace {

constexpr unsigned calls = 2000;
constexpr std::size_t there = sizeof(FrameHeader) + sizeof(InvokeRequest) + 2 * sizeof(ArgumentDescriptor) + 256,
                      back = sizeof(FrameHeader) + sizeof(InvokeReply) + 256;

struct Table {
    std::array<std::vector<double>, call_spans.size()> spans;
    std::vector<double> whole;            ///< traced
    std::vector<double> untraced, direct; ///< p50 of each repetition
};

struct Floor {
    std::vector<double> seqpacket, pipe, futex; ///< p50 of each repetition
};

class Spans {
public:
    Spans(const stack::Stack& plain, const stack::Stack& traced, Trace& trace) :
        plain_(plain), traced_(traced), trace_(trace), beside_(plain), looked_at_(traced) {}

    Status run(unsigned repetitions) {
        if (const Status found = beside_.find_lanes(); !found) return found;
        for (unsigned i = 0; i < repetitions; ++i)
            for (const unsigned dsp_us : {0U, 90U})
                if (const Status done = repetition(dsp_us); !done) return done;
        return {};
    }
    void report(std::map<std::string, double>& figures) {
        for (auto& [key, table] : tables_) print(key.first, key.second, table, figures);
    }

private:
    Status repetition(unsigned dsp_us) {
        for (const stack::Stack* system : {&plain_, &traced_})
            if (const Status set = system->set_latency(dsp_us); !set) return set;
        for (const auto& [kind, times] : {std::pair(PingPong::seqpacket, &Floor::seqpacket),
                                          {PingPong::pipe, &Floor::pipe},
                                          {PingPong::futex, &Floor::futex}}) {
            auto rounds = ping_pong(kind, calls, dsp_us, there, back);
            if (!rounds) return std::unexpected(rounds.error());
            (floors_[dsp_us].*times).push_back(percentile(*rounds, 50));
        }
        const auto alone = p50(direct);
        if (!alone) return std::unexpected(alone.error());
        for (const std::string& name : beside_.names()) {
            if (name == direct) continue;
            const auto untraced = p50(name);
            if (!untraced) return std::unexpected(untraced.error());
            Table& table = tables_[{name, dsp_us}];
            table.direct.push_back(*alone);
            table.untraced.push_back(*untraced);
            if (const Status done = look(name, table); !done) return done;
        }
        return {};
    }

    [[nodiscard]] Result<double> p50(const std::string& name) const {
        auto contender = beside_.start(name);
        if (!contender) return std::unexpected(contender.error());
        const auto sample = contender->round(1, headline(0).payload, 10000, calls);
        if (!sample) return std::unexpected(sample.error());
        return sample->p50;
    }

    Status look(const std::string& name, Table& table) {
        auto contender = looked_at_.start(name, trace_.environment());
        if (!contender) return std::unexpected(contender.error());
        trace_.clear();
        if (const auto done = contender->round(1, headline(0).payload, 10000, calls); !done)
            return std::unexpected(done.error());
        const auto events = trace_.events();
        if (!events) return std::unexpected(events.error());
        // The host of this session is the one that the trace knows.
        for (const pid_t host : session_hosts())
            for (const CallSpans& call : cut_calls(*events, contender->pid(), host)) {
                for (std::size_t i = 0; i < call.size(); ++i) table.spans[i].push_back(call[i]);
                table.whole.push_back(std::accumulate(call.begin(), call.end(), 0.0));
            }
        if (table.whole.empty()) return fail(ErrorKind::not_found, "the trace has no calls of " + name);
        return {};
    }

    void print(const std::string& name, unsigned dsp_us, Table& table, std::map<std::string, double>& figures) {
        fmt::print("\nWhere a call of {} goes: 256 bytes each way, {} us of DSP time, us\n  {:58} {:>8} {:>8}\n", name,
                   dsp_us, "", "p50", "p99");
        double sum = 0, ways = 0, ours = 0;
        for (std::size_t i = 0; i < call_spans.size(); ++i) {
            const double median = percentile(table.spans[i], 50);
            fmt::print("  {:58} {:8.2f} {:8.2f}\n", call_spans[i], median, percentile(table.spans[i], 99));
            sum += median;
            const std::string_view span = call_spans[i];
            if (span.starts_with("way"))
                ways += median;
            else if (span != "kernel and DSP")
                ours += median;
            std::string key = fmt::format("span_{}_us_{}_{}us", span, name.substr(9), dsp_us);
            std::ranges::replace(key, ' ', '_');
            figures[key] = median;
        }
        const double whole = percentile(table.whole, 50);
        const Floor& floor = floors_.at(dsp_us);
        const auto line = [](const char* what, const std::vector<double>& values) {
            const Spread one = spread(values);
            fmt::print("  {:58} {:8.2f} ({:.2f}-{:.2f})\n", what, one.median, one.least, one.most);
        };
        fmt::print("  {:58} {:8.2f}\n", "sum of the medians", sum);
        fmt::print("  {:58} {:8.2f} {:8.2f}\n", "measured, traced", whole, percentile(table.whole, 99));
        line("measured, untraced", table.untraced);
        line("direct, untraced", table.direct);
        fmt::print("  {:58} {:8.2f}\n", "both ways", ways);
        line("floor: SEQPACKET round trip of two bare processes", floor.seqpacket);
        line("floor: pipe round trip of two bare processes", floor.pipe);
        line("floor: futex round trip of two bare processes", floor.futex);
        fmt::print("  {:58} {:8.2f}\n", "our own code, client and host", ours);
        for (const auto& [kind, values] :
             {std::pair("seqpacket", &floor.seqpacket), {"pipe", &floor.pipe}, {"futex", &floor.futex}})
            figures[fmt::format("floor_{}_us_{}us", kind, dsp_us)] = spread(*values).median;
    }

    const stack::Stack &plain_, &traced_;
    Trace& trace_;
    Contenders beside_, looked_at_;
    std::map<std::pair<std::string, unsigned>, Table> tables_;
    std::map<unsigned, Floor> floors_;
};

} // namespace

Status measure_spans(unsigned repetitions, std::map<std::string, double>& figures) {
    const auto trace = Trace::make(calls * 32);
    if (!trace) return std::unexpected(trace.error());
    stack::Options options{.policy = stack::source_root() / "tests/bench/policy.d", .quiet = true};
    const auto plain = stack::Stack::start(options);
    if (!plain) return std::unexpected(plain.error());
    options.environment = (*trace)->environment();
    const auto traced = stack::Stack::start(options);
    if (!traced) return std::unexpected(traced.error());
    Spans spans(**plain, **traced, **trace);
    if (const Status done = spans.run(repetitions); !done) return done;
    spans.report(figures);
    return {};
}

} // namespace fastrpc::bench
