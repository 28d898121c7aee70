// What bench invoke measures: cells, each a load that all contenders get in turn, and the samples that come of it.
#pragma once

#include "tests/bench/payload.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fastrpc::bench {

struct Cell {
    unsigned dsp_us = 0; ///< time that the module takes
    unsigned clients = 1;
    Payload payload;
    friend auto operator<=>(const Cell&, const Cell&) = default;
};

/// The cell that the goals for one client speak of.
inline Cell headline(unsigned dsp_us) {
    return {dsp_us, 1, {256, false}};
}
inline constexpr Payload largest{16U << 20, true};

struct Sample {
    double p50 = 0, p99 = 0; ///< us
    double rate = 0;         ///< calls per second of all clients
    /// p50 of empty calls right before, of the same contender; 0 = not measured.
    double empty_p50 = 0;
};

/// By contender's name and cell: one sample per round, in their order, so that the n-th ones of two contenders are
/// neighbours in time. Of what a contender can't do there is none from the first failure on.
using Samples = std::map<std::string, std::map<Cell, std::vector<Sample>>>;

/// In the order of their DSP times. Not full: one client with each payload, and 256 bytes with each number of clients.
inline std::vector<Cell> cells(bool full) {
    std::vector<Cell> all;
    for (const unsigned dsp_us : {0U, 90U})
        for (const unsigned clients : {1U, 2U, 8U, 32U})
            for (const Payload& payload :
                 {Payload{0, false}, Payload{256, false}, Payload{4U << 10, false}, Payload{64U << 10, false},
                  Payload{64U << 10, true}, Payload{1U << 20, true}, largest})
                if (full || clients == 1 || payload == headline(0).payload) all.push_back({dsp_us, clients, payload});
    return all;
}

} // namespace fastrpc::bench
