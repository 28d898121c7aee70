#include "tests/bench/invoke_chart.hpp"

#include "tests/bench/payload.hpp"
#include "tests/stack/process.hpp"
#include "tests/support/scratch.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/core.h>
#include <set>
#include <vector>

namespace fastrpc::bench {
namespace {

using nlohmann::json;

constexpr std::array colours{"#444444", "#1b6ca8", "#2aa876", "#e08e0b", "#c0392b"};

/// The contenders in the order in which they come.
std::vector<std::string> names_of(const json& cells) {
    std::vector<std::string> names;
    for (const json& cell : cells)
        if (const std::string name = cell["contender"]; std::ranges::find(names, name) == names.end())
            names.push_back(name);
    return names;
}

/// The cell of a contender; null when it was not measured.
const json* find(const json& cells, const std::string& name, unsigned dsp_us, unsigned clients,
                 const Payload& payload) {
    const auto found = std::ranges::find_if(cells, [&](const json& cell) {
        return cell["contender"] == name && cell["dsp_us"] == dsp_us && cell["clients"] == clients &&
               cell["bytes"] == payload.bytes && cell["registered"] == payload.registered;
    });
    return found == cells.end() ? nullptr : &*found;
}

std::string latency_panel(const json& cells, const std::vector<std::string>& names, unsigned dsp_us) {
    std::set<std::pair<bool, Payload>> payloads; // inline ones first
    for (const json& cell : cells)
        payloads.insert({cell["registered"], {cell["bytes"].get<std::size_t>(), cell["registered"].get<bool>()}});
    std::string text = fmt::format("$latency{} << END\n", dsp_us);
    for (const auto& [registered, payload] : payloads) {
        text += '"' + payload.name() + '"';
        for (const std::string& name : names) {
            const json* cell = find(cells, name, dsp_us, 1, payload);
            if (cell == nullptr)
                text += " ? ? ?";
            else
                text += fmt::format(" {0} {0} {1}", (*cell)["p50_us"]["median"].get<double>(),
                                    (*cell)["p99_us"]["median"].get<double>());
        }
        text += '\n';
    }
    text += fmt::format("END\nset title 'One client, {} us of DSP time: p50, with a whisker to p99'\n"
                        "set ylabel 'us per call'\nset logscale y\nset xlabel ''\nunset logscale x\n"
                        "set style data histograms\nset style histogram errorbars gap 2 lw 1\nset xtics rotate by -25\n"
                        "set xrange [*:*]\nset yrange [5:*]\nplot ",
                        dsp_us);
    for (std::size_t i = 0; i < names.size(); ++i)
        text +=
            fmt::format("{}$latency{} using {}:{}:{}:xtic(1) title '{}' fs solid 0.8 lc rgb '{}'", i == 0 ? "" : ", ",
                        dsp_us, 3 * i + 2, 3 * i + 3, 3 * i + 4, names[i], colours[i % colours.size()]);
    return text + '\n';
}

std::string throughput_panel(const json& cells, const std::vector<std::string>& names, unsigned dsp_us) {
    std::string text;
    std::string plot;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += fmt::format("$rate{}_{} << END\n", dsp_us, i);
        for (const unsigned clients : {1U, 2U, 8U, 32U})
            if (const json* cell = find(cells, names[i], dsp_us, clients, {256, false}))
                text += fmt::format("{} {} {} {}\n", clients, (*cell)["calls_per_s"]["median"].get<double>(),
                                    (*cell)["calls_per_s"]["min"].get<double>(),
                                    (*cell)["calls_per_s"]["max"].get<double>());
        text += "END\n";
        plot += fmt::format("{}$rate{}_{} using 1:2:3:4 with yerrorlines title '{}' lw 2 pt 7 ps 0.6 lc rgb '{}'",
                            i == 0 ? "" : ", ", dsp_us, i, names[i], colours[i % colours.size()]);
    }
    return text +
           fmt::format(
               "set title '256 bytes, {} us of DSP time: median, least and most of the rounds'\n"
               "set ylabel 'calls per second, all clients'\nset xlabel 'clients'\nunset logscale y\n"
               "set logscale x 2\nset xtics norotate (1, 2, 8, 32)\nset xrange [0.8:40]\nset yrange [0:*]\nplot ",
               dsp_us) +
           plot + "\nset xtics autofreq\n";
}

} // namespace

std::string invoke_chart(const json& cells, const std::string& file) {
    const std::vector<std::string> names = names_of(cells);
    std::string quoted = file;
    for (std::size_t at = 0; (at = quoted.find('\'', at)) != quoted.npos; at += 2) quoted.insert(at, 1, '\'');
    std::string text = "set terminal svg size 1400,1000 background '#ffffff' font 'sans,12'\nset output '" + quoted +
                       "'\nset datafile missing '?'\nset grid ytics\nset key top left\n"
                       "set multiplot layout 2,2 title 'bench invoke' font ',16'\n";
    for (const unsigned dsp_us : {0U, 90U}) text += latency_panel(cells, names, dsp_us);
    for (const unsigned dsp_us : {0U, 90U}) text += throughput_panel(cells, names, dsp_us);
    return text + "unset multiplot\n";
}

Status draw_invoke_chart(const json& cells, const std::string& file) {
    constexpr const char* gnuplot = "/usr/bin/gnuplot";
    if (!std::filesystem::exists(gnuplot))
        return fail(ErrorKind::not_found, "there is no gnuplot to draw the chart; install gnuplot-nox");
    const test::Scratch scratch;
    scratch.file("chart.gp", invoke_chart(cells, std::filesystem::absolute(file).string()));
    const auto done = stack::run({.command = {gnuplot, scratch.path("chart.gp").string()}});
    if (!done) return std::unexpected(done.error());
    if (done->code != 0) return fail(ErrorKind::system, "gnuplot failed: " + done->errors);
    return {};
}

} // namespace fastrpc::bench
