// What DSPs opened and what they asked for in vain.
//
// files    {"missing": as asked for, "files": [{"domain", "pd", "session", "name", "missing", "problem", "places": [],
// "opens", "refusals",
//                      "bytes-read", "bytes-written", "last-usec"}],
//           "left-out": reports that the filter did not pass,
//           "unanswered": [{"domain", "pd", "session", "error"}]}
//          "session" is null for a static PD. "places" is where a file is, or each place searched in vain, in order. Of
//          sessions the caller's own, or all for root. --follow prints the files, one object per line.
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"

#include <map>

namespace fastrpc::ctl {

class FileReader {
public:
    /// `missing`: only what was asked for in vain, else only what was opened. `domain`: of this DSP alone; empty = all.
    FileReader(bool missing, std::string domain) : missing_(missing), domain_(std::move(domain)) {}

    /// What is new since the last call, as above; the first call gives everything. A host that does not answer hides no
    /// other.
    Result<json> read(BusClient& client);

private:
    void read_one(BusClient& client, const std::string& path, const std::string& interface, const json& whose,
                  std::uint64_t& since, json& answer);

    bool missing_;
    std::string domain_;
    std::map<std::string, std::uint64_t> since_; ///< by path and pid: another host counts anew
};

/// Prints news by `print` as they come, until SIGINT or SIGTERM (both are blocked from then on) or until nobody reads
/// standard output any more; none of them is an error. A fastrpcd that goes away is waited for.
Status follow_files(BusClient& client, FileReader& reader, const std::function<void(const json& file)>& print);

std::string files_text(const json& answer, const Style& style);
/// One line for an opened file; for a missing one its places follow, one per line.
std::string file_text(const json& file, const Style& style);

} // namespace fastrpc::ctl
