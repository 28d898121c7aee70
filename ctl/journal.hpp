// What fastrpcd and its hosts have written to the journal, found by fields rather than by words.
//
// Anybody may write to the journal under any identifier; what tells who wrote an entry is _SYSTEMD_UNIT, which journald
// itself fills in. Entries of other units than fastrpcd's are left out.
//
// log          {"time-usec", "domain", "pd", "session", "level", "dsp-level", "text", "source", "pid", "unit"}
//              "session" is null for a static PD; "level" is the journal's word, "dsp-level" the DSP's own, "source"
//              the file and line of the DSP's program; both empty when the DSP does not say.
// policy log   {"time-usec", "decision", "uid", "label", "domain", "pd", "rule", "revision", "grant", "text"}
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::ctl {

using nlohmann::json;

struct JournalQuery {
    std::string directory;            ///< of journal files; empty: this machine's journal
    std::vector<std::string> matches; ///< "FIELD=value", all of which an entry has
    std::uint64_t lines = 0;          ///< the last so many; 0: all
    bool follow = false;              ///< go on with what comes, until SIGINT or SIGTERM
};

/// The fields of an entry, each a string, with "time-usec" as a number.
using JournalEntry = json;
/// Gives what is to be shown of an entry; null for an entry that is not meant.
using Reading = std::function<json(const JournalEntry&)>;

/// Calls `print` with what `read` gives of each entry, oldest first. ErrorKind::denied when the journal holds nothing
/// that the caller may read.
Status read_journal(const JournalQuery& query, const Reading& read, const std::function<void(const json&)>& print);

/// As described above; null for entries that are none.
json dsp_line(const JournalEntry& entry);
json decision_line(const JournalEntry& entry);

} // namespace fastrpc::ctl
