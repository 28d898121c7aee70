// The floor under a call through another process: a round trip between two processes that do nothing else.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <vector>

namespace fastrpc::bench {

enum class PingPong {
    seqpacket, ///< a datagram there and one back
    pipe,      ///< a byte there and one back, each through a pipe
    futex,     ///< words in shared memory, each side asleep while the other runs
};

/// Microseconds of `count` round trips, less the `pause_us` that the other process sleeps before it answers, as it
/// measures them itself; with a pause, CPUs go idle as they do under a call to a DSP. `there` and `back`: bytes of the
/// datagrams, 16 to 4096.
Result<std::vector<double>> ping_pong(PingPong kind, unsigned count, unsigned pause_us, std::size_t there,
                                      std::size_t back);

} // namespace fastrpc::bench
