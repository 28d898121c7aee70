#include "tests/bench/invoke_report.hpp"

#include "tests/bench/contenders.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <set>

namespace fastrpc::bench {
namespace {

double p50_ratio(const Sample& one, const Sample& beside) {
    return one.p50 / beside.p50;
}
double p99_ratio(const Sample& one, const Sample& beside) {
    return one.p99 / beside.p99;
}
double rate_ratio(const Sample& one, const Sample& beside) {
    return one.rate / beside.rate;
}
double added_p50(const Sample& one, const Sample& beside) {
    return one.p50 - beside.p50;
}

Spread spread_of(const std::vector<Sample>& samples, double Sample::*member) {
    std::vector<double> values;
    for (const Sample& sample : samples) values.push_back(sample.*member);
    return spread(std::move(values));
}

/// "1.05 (1.02-1.07)"
std::string ratio_text(std::vector<double> ratios) {
    const Spread s = spread(std::move(ratios));
    return fmt::format("{:.2f} ({:.2f}-{:.2f})", s.median, s.least, s.most);
}

struct Goal {
    const char* key;
    bool at_most;
    double bound;
};
constexpr std::array goals{Goal{"p50_ratio_90us", true, 1.05},      Goal{"p99_ratio_90us", true, 1.15},
                           Goal{"throughput_ratio_8", false, 0.70}, Goal{"flat_16m", true, 1.05},
                           Goal{"added_over_dbus", true, 0.1},      Goal{"added_over_grpc", true, 0.05}};

} // namespace

const std::vector<Sample>* InvokeReport::find(const std::string& name, const Cell& cell) const {
    const auto contender = samples_.find(name);
    if (contender == samples_.end()) return nullptr;
    const auto found = contender->second.find(cell);
    return found == contender->second.end() || found->second.empty() ? nullptr : &found->second;
}

std::vector<double> InvokeReport::beside_direct(const std::string& name, const Cell& cell, Figure figure) const {
    std::vector<double> values;
    const auto *own = find(name, cell), *alone = find(direct, cell);
    if (own == nullptr || alone == nullptr) return values;
    for (std::size_t i = 0; i < std::min(own->size(), alone->size()); ++i)
        values.push_back(figure((*own)[i], (*alone)[i]));
    return values;
}

// A peer that added nothing in a repetition says nothing about how much less we add.
std::vector<double> InvokeReport::added_over(const std::string& name, const std::string& peer) const {
    const auto ours = beside_direct(name, headline(90), added_p50),
               theirs = beside_direct(peer, headline(90), added_p50);
    std::vector<double> values;
    for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i)
        if (theirs[i] > 0) values.push_back(ours[i] / theirs[i]);
    return values;
}

std::map<std::string, std::vector<double>> InvokeReport::keys(const std::string& name) const {
    std::map<std::string, std::vector<double>> all;
    for (const unsigned dsp_us : {0U, 90U}) {
        const std::string suffix = fmt::format("_{}us", dsp_us);
        all["p50_ratio" + suffix] = beside_direct(name, headline(dsp_us), p50_ratio);
        all["p99_ratio" + suffix] = beside_direct(name, headline(dsp_us), p99_ratio);
        all["added_p50_us" + suffix] = beside_direct(name, headline(dsp_us), added_p50);
        std::vector<double>& flat = all[dsp_us == 90 ? "flat_16m" : "flat_16m_0us"];
        if (const auto* own = find(name, {dsp_us, 1, largest}))
            for (const Sample& sample : *own) flat.push_back(sample.p50 / sample.empty_p50);
    }
    for (const unsigned clients : {2U, 8U, 32U})
        all[fmt::format("throughput_ratio_{}", clients)] =
            beside_direct(name, {90, clients, headline(90).payload}, rate_ratio);
    all["added_over_dbus"] = added_over(name, dbus);
    all["added_over_grpc"] = added_over(name, grpc);
    return all;
}

std::map<std::string, double> InvokeReport::figures() const {
    std::map<std::string, double> figures;
    for (const std::string& name : names_) {
        if (!name.starts_with(through_fastrpcd)) continue;
        const std::string kind = "_" + name.substr(std::string_view(through_fastrpcd).size());
        for (const auto& [key, values] : keys(name)) {
            if (values.empty()) continue;
            const Spread s = spread(values);
            for (const std::string& end : name == usual_ ? std::vector<std::string>{"", kind} : std::vector{kind}) {
                figures[key + end] = s.median;
                figures[key + end + "_min"] = s.least;
                figures[key + end + "_max"] = s.most;
            }
        }
    }
    for (const std::string& name : names_)
        for (const unsigned dsp_us : {0U, 90U})
            if (const auto* own = find(name, headline(dsp_us)))
                figures[fmt::format("{}_p50_us_{}us", name, dsp_us)] = spread_of(*own, &Sample::p50).median;
    return figures;
}

void InvokeReport::print_latencies(unsigned dsp_us) const {
    fmt::print("\nLatency of one client's calls, {} us of DSP time: p50 / p99 in us; p50 over direct (least-most)\n"
               "{:19}",
               dsp_us, "");
    for (const std::string& name : names_) fmt::print(" {:>34}", name);
    fmt::print("\n");
    std::set<Payload> payloads;
    for (const auto& [cell, unused] : samples_.at(direct))
        if (cell.dsp_us == dsp_us && cell.clients == 1) payloads.insert(cell.payload);
    for (const bool registered : {false, true})
        for (const Payload& payload : payloads) {
            if (payload.registered != registered) continue;
            const Cell cell{dsp_us, 1, payload};
            fmt::print("{:19}", payload.name());
            for (const std::string& name : names_) {
                const auto* own = find(name, cell);
                if (own == nullptr) {
                    fmt::print(" {:>34}", "-");
                    continue;
                }
                std::string text = fmt::format("{:.1f} / {:.1f}", spread_of(*own, &Sample::p50).median,
                                               spread_of(*own, &Sample::p99).median);
                if (name != direct) text += "  " + ratio_text(beside_direct(name, cell, p50_ratio));
                fmt::print(" {:>34}", text);
            }
            fmt::print("\n");
        }
}

void InvokeReport::print_throughput(unsigned dsp_us) const {
    std::map<Payload, std::set<unsigned>> loads;
    for (const auto& [cell, unused] : samples_.at(direct))
        if (cell.dsp_us == dsp_us) loads[cell.payload].insert(cell.clients);
    for (const auto& [payload, clients] : loads) {
        if (clients.size() < 2) continue;
        fmt::print("\nCalls per second of all clients, {}, {} us of DSP time; over direct (least-most)\n{:>7}",
                   payload.name(), dsp_us, "clients");
        for (const std::string& name : names_) fmt::print(" {:>27}", name);
        fmt::print("\n");
        for (const unsigned count : clients) {
            const Cell cell{dsp_us, count, payload};
            fmt::print("{:>7}", count);
            for (const std::string& name : names_) {
                const auto* own = find(name, cell);
                std::string text = own == nullptr ? "-" : fmt::format("{:.0f}", spread_of(*own, &Sample::rate).median);
                if (own != nullptr && name != direct) text += "  " + ratio_text(beside_direct(name, cell, rate_ratio));
                fmt::print(" {:>27}", text);
            }
            fmt::print("\n");
        }
    }
}

void InvokeReport::print_goals() const {
    fmt::print("\nGoals, with the lanes that the library takes by itself ({})\n", usual_);
    const auto all = keys(usual_);
    for (const Goal& goal : goals) {
        const auto& values = all.at(goal.key);
        if (values.empty()) {
            fmt::print("  {:20} not measured\n", goal.key);
            continue;
        }
        const Spread s = spread(values);
        const bool met = goal.at_most ? s.median <= goal.bound : s.median >= goal.bound;
        fmt::print("  {:20} {:7.3f} ({:.3f}-{:.3f})   goal {} {:.2f}   {}\n", goal.key, s.median, s.least, s.most,
                   goal.at_most ? "<=" : ">=", goal.bound, met ? "met" : "MISSED");
    }
}

void InvokeReport::print() const {
    for (const unsigned dsp_us : {0U, 90U}) print_latencies(dsp_us);
    for (const unsigned dsp_us : {0U, 90U}) print_throughput(dsp_us);
    print_goals();
}

nlohmann::json InvokeReport::cells() const {
    nlohmann::json all = nlohmann::json::array();
    const auto numbers = [](const Spread& s) {
        return nlohmann::json{{"min", s.least}, {"median", s.median}, {"max", s.most}};
    };
    for (const std::string& name : names_) {
        const auto contender = samples_.find(name);
        if (contender == samples_.end()) continue;
        for (const auto& [cell, samples] : contender->second) {
            if (samples.empty()) continue;
            all.push_back({{"contender", name},
                           {"dsp_us", cell.dsp_us},
                           {"clients", cell.clients},
                           {"bytes", cell.payload.bytes},
                           {"registered", cell.payload.registered},
                           {"p50_us", numbers(spread_of(samples, &Sample::p50))},
                           {"p99_us", numbers(spread_of(samples, &Sample::p99))},
                           {"calls_per_s", numbers(spread_of(samples, &Sample::rate))}});
        }
    }
    return all;
}

} // namespace fastrpc::bench
