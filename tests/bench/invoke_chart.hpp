// The chart of bench invoke, drawn by gnuplot: latency by payload and contender, throughput by clients and contender.
#pragma once

#include "base/result.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace fastrpc::bench {

/// The gnuplot script, data and all, of the "cells" of the bench's JSON; it draws to `file`.
std::string invoke_chart(const nlohmann::json& cells, const std::string& file);
/// Draws it; ErrorKind::not_found without gnuplot.
Status draw_invoke_chart(const nlohmann::json& cells, const std::string& file);

} // namespace fastrpc::bench
