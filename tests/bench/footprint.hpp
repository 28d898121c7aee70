// Memory of sessions and lanes: what their host and their client have resident, with many lanes against one.
#pragma once

#include "tests/bench/contenders.hpp"

#include <map>
#include <string>

namespace fastrpc::bench {

/// Of one process, KiB (/proc/PID/smaps_rollup): its share of what it maps, and what it has to itself.
struct Footprint {
    double share = 0, own = 0;
};
Result<Footprint> footprint(pid_t pid);

/// Prints and adds to `figures`, of each kind of lane KIND: session_host_pss_kib_KIND (a host with one lane),
/// lane_host_kib_KIND and lane_client_kib_KIND (what each further lane adds to the host's and to the client's own
/// memory). The client's part is less what as many threads without lanes leave behind in the direct contender.
Status measure_footprints(const Contenders& contenders, std::map<std::string, double>& figures);

} // namespace fastrpc::bench
