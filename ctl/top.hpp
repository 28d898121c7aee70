// `top`: who uses the DSPs now.
//
// Plain escape sequences on the terminal's other screen, so it works over ssh and leaves nothing behind. Rates are made
// from the counters of two looks; the first table has those since each session was opened.
//
// A table with --json is {"time-usec", "domains": [{"name", "state", "sessions-used", "sessions-max"}], "queued",
//   "rows": [{"session", "domain", "pd", "state", "uid", "owner", "sessions", "calls-per-s", "bytes-per-s", "p50-us",
//             "p99-us", "in-flight", "lanes", "calls", "bytes", "files", "missing", "rule", "label"}]}
// By user "session", "domain", "pd", "rule" and "label" are empty, "sessions" counts them, and p50-us and p99-us are
// the worst of them.
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"

#include <chrono>
#include <map>

namespace fastrpc::ctl {

class Tool;

struct TopOptions {
    bool batch = false;
    bool by_uid = false;
    std::uint64_t tables = 0; ///< 0: without end
    double delay = 2;
    std::string sort = "calls";
};

/// Makes tables of looks.
class Usage {
public:
    using Clock = std::chrono::steady_clock;
    /// The next table, as described above, from the answer of query_list() at `now`.
    json table(const json& list, Clock::time_point now, bool by_uid, const std::string& sort);

private:
    struct Seen {
        std::uint64_t calls = 0;
        std::uint64_t bytes = 0;
        Clock::time_point at;
    };
    std::map<std::string, Seen> seen_; ///< by session
};

/// The table as lines of at most `columns` characters; wide terminals get more of its columns.
std::string top_text(const json& table, const Style& style, std::size_t columns);

/// Until a key or SIGINT ends it, or the last table was printed.
Status run_top(BusClient& client, TopOptions options, const Tool& tool);

} // namespace fastrpc::ctl
