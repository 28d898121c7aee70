// What reached the DSP, as text that is the same on every machine.
//
// What may differ between machines is named, not printed: processes and threads by their role, fds and buffers by the
// case's names, DMA addresses by slot and page of a known buffer, context ids by their distance, addresses of inline
// arguments by their place in the payload. Everything else is printed or hashed.
#pragma once

#include "script.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::conformance {

/// What the case said about itself.
struct Facts {
    struct Area {
        std::uint64_t address = 0; ///< in the case's process; 0: not mapped
        std::uint64_t size = 0;
    };
    std::map<std::int64_t, std::string> processes;
    std::map<std::int64_t, std::string> threads;
    std::map<std::int64_t, std::string> fds;
    std::map<unsigned, Area> buffers; ///< by the id in their tags

    /// One line of the case's report; false when it is none of the facts.
    bool take(char kind, const std::string& text);
};

/// Texts of the records in an answer to Control::fetch. `ids`: with the distance of context ids, which is chance where
/// several threads call at once.
std::vector<std::string> wire_texts(std::span<const std::byte> fetched, const Facts& facts, bool ids);

} // namespace fastrpc::conformance
