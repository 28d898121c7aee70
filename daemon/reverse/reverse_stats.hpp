// Counters of the reverse direction: written by the listener thread, read by the control connection.
#pragma once

#include "daemon/files/file_log.hpp"

#include <atomic>
#include <cstdint>

namespace fastrpc::daemon {

struct ReverseStats {
    std::atomic<std::uint64_t> reverse_calls = 0; ///< requests that arrived, malformed ones included
    std::atomic<std::uint64_t> files_served = 0;  ///< files opened by the DSP
    std::atomic<std::uint64_t> bytes_served = 0;  ///< file bytes read by the DSP
    FileLog files;                                ///< by name
};

} // namespace fastrpc::daemon
