// What the samples of bench invoke mean: tables for people, and figures.
//
// Ratios are between neighbours in time: a contender's sample and direct's of the same repetition and cell. What is
// reported of a ratio is the median over the repetitions, its least and its most.
#pragma once

#include "tests/bench/figures.hpp"
#include "tests/bench/matrix.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::bench {

class InvokeReport {
public:
    /// `names`: contenders in the order of the tables. `usual`: the one whose figures have no suffix.
    InvokeReport(const Samples& samples, std::vector<std::string> names, std::string usual) :
        samples_(samples), names_(std::move(names)), usual_(std::move(usual)) {}

    /// To stdout.
    void print() const;
    /// KEY, KEY_min and KEY_max; the same of each kind of lane as KEY_socket and KEY_shared. A key whose cells were not
    /// measured is missing.
    [[nodiscard]] std::map<std::string, double> figures() const;
    /// One object per contender and cell, for plots.
    [[nodiscard]] nlohmann::json cells() const;

private:
    using Figure = double (*)(const Sample& one, const Sample& beside);
    [[nodiscard]] const std::vector<Sample>* find(const std::string& name, const Cell& cell) const;
    /// `figure` of each repetition's sample of `name` and that of direct.
    [[nodiscard]] std::vector<double> beside_direct(const std::string& name, const Cell& cell, Figure figure) const;
    [[nodiscard]] std::vector<double> added_over(const std::string& name, const std::string& peer) const;
    void print_latencies(unsigned dsp_us) const;
    void print_throughput(unsigned dsp_us) const;
    void print_goals() const;
    [[nodiscard]] std::map<std::string, std::vector<double>> keys(const std::string& name) const;

    const Samples& samples_;
    std::vector<std::string> names_;
    std::string usual_;
};

} // namespace fastrpc::bench
