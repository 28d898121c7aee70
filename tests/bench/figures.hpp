// What every bench shares: percentiles, medians with their spread, and the file of figures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::bench {

/// The p-th percentile (0..100), nearest rank; sorts `values`.
inline double percentile(std::vector<double>& values, double p) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    const double rank = p / 100 * static_cast<double>(values.size() - 1);
    return values[static_cast<std::size_t>(rank + 0.5)];
}

struct Spread {
    double least = 0, median = 0, most = 0;
};
inline Spread spread(std::vector<double> values) {
    Spread result;
    result.median = percentile(values, 50);
    if (!values.empty()) result.least = values.front(), result.most = values.back();
    return result;
}

/// {"bench": NAME, "figures": {KEY: NUMBER, ...}}, and the members of `more`.
inline bool write_figures(const std::string& file, const std::string& name,
                          const std::map<std::string, double>& figures,
                          const nlohmann::json& more = nlohmann::json::object()) {
    nlohmann::json all{{"bench", name}, {"figures", figures}};
    all.update(more);
    std::ofstream out(file);
    out << all.dump(2) << '\n';
    out.close();
    return !out.fail();
}

} // namespace fastrpc::bench
