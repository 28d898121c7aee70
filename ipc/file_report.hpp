// What a DSP did with the files of one name: what it opened and how much it read, or what it asked for in vain.
//
// Hosts keep it, fastrpcd passes it on, fastrpcctl shows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fastrpc {

struct FileReport {
    std::uint64_t sequence = 0; ///< of the latest news of this file; higher is later, within one host's life
    std::string name;           ///< as the DSP asked, printable
    /// Where it is, or each place searched in vain, in order.
    std::vector<std::string> places;
    std::string problem;          ///< why it was not served the last time it was asked for; empty when it was
    std::uint64_t opens = 0;      ///< successful
    std::uint64_t refusals = 0;   ///< times it was asked for in vain
    std::uint64_t bytes_read = 0; ///< by the DSP, of closed and open files
    std::uint64_t bytes_written = 0;
    std::uint64_t last_us = 0; ///< of the latest news, CLOCK_REALTIME

    [[nodiscard]] bool missing() const noexcept { return !problem.empty(); }
    friend bool operator==(const FileReport&, const FileReport&) = default;
};

} // namespace fastrpc
