// `bench`: how this machine fares with what every session does, without a module on the DSP.
//
// {"domain", "pd", "rounds", "steps": [{"step", "count", "p50-us", "p99-us", "error"}]}, where step is
//   bus      a property of fastrpcd, read over the bus
//   open     from OpenSession to a session that is ready: policy, host, node, PD on the DSP
//   host     a buffer of 4 KiB allocated and freed: a turn of the session's host
//   dsp      the buffer mapped and unmapped: two turns of the kernel driver and the DSP
//   close    a session ended, without waiting for its PD's end
// "error" is null, or why the step could not be measured; its figures are then null.
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"

namespace fastrpc::ctl {

struct BenchOptions {
    std::string domain = "cdsp";
    std::string pd = "unsigned";
    unsigned count = 20;
};

/// Fails when no session can be had.
Result<json> measure(BusClient& client, const BenchOptions& options);
std::string bench_text(const json& figures, const Style& style);

} // namespace fastrpc::ctl
