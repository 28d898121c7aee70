// Which kind of lane this program's calls go through: "shared" when memory of a lane is mapped here, else "socket".
//
// The library chooses, or is told by FASTRPC_LANE; this looks at what it did, so that a bench never names a lane that
// it did not measure. Call it while the program has a lane and no buffer: those are memory files too.
#pragma once

#include <fstream>
#include <string>

namespace fastrpc::bench {

inline std::string open_lane_kind() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.find("/memfd:") != line.npos) return "shared";
    return "socket";
}

} // namespace fastrpc::bench
