// What a hostile DSP sends to its host, and what must come back: one line per case (USERSPACE 4.4, 4.5, 4.7, 5, 6).
//
// The steps are a script of a PD (docs/virtual-soc.md). The host's tree has read-only /fw, which relative names are
// looked for in, and /rw, which may be written:
//
//   /fw/known       10,000 bytes, {"pattern": 10000, "seed": 5}
//   /fw/dir/one, /fw/dir/two, and links, devices, FIFOs and a socket as hostile_tree.hpp makes them
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::test {

struct HostileCase {
    std::string name;
    nlohmann::json steps;
    nlohmann::json codes;    ///< of each outcome; of rounds an object: code -> how often
    bool new_reader = false; ///< begins with somebody who reads the ring: a case before may have cost the PD its one
};
using HostileCases = std::vector<HostileCase>;

// hostile_cases_form.cpp: calls whose form is wrong.
HostileCases wrong_lengths(); ///< 0, 1, 2^31 and 2^32-1 in each length that a call declares
HostileCases wrong_blobs();   ///< blobs cut, and lied about, at each of their length words
HostileCases wrong_shapes();  ///< buffers too many, and primIn too short, of each method
HostileCases wrong_targets(); ///< handles, methods and interfaces that there are not

// hostile_cases_use.cpp: well-formed calls that want too much.
HostileCases wrong_numbers(); ///< files, directories and positions that there are not
HostileCases wrong_names();   ///< ways out of the tree, what is no file, names without end
HostileCases wrong_writes();  ///< where nothing may be written
HostileCases wrong_memory();  ///< heap beyond the cap, addresses that were never ours
HostileCases wrong_logs();    ///< log lines cut and endless, a ring whose index lies
HostileCases greed();         ///< opens without end, and threads that race

} // namespace fastrpc::test
