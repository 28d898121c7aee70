// bench invoke --spans: where each microsecond of a call through fastrpcd goes, and how near that is to the floor.
#pragma once

#include "base/result.hpp"

#include <map>
#include <string>

namespace fastrpc::bench {

/// Starts a system of its own whose host and client are traced (trace.c), and prints a table per kind of lane and DSP
/// time: 256 bytes each way, one client. Adds span_SPAN_us_KIND_Tus and floor_seqpacket_us_Tus,
/// floor_pipe_us_Tus, floor_futex_us_Tus to `figures`, T being the DSP time.
Status measure_spans(unsigned repetitions, std::map<std::string, double>& figures);

} // namespace fastrpc::bench
