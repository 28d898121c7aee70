// `run`: a command that starts when its DSP has a place for it.
//
// Place and turn are found out by a session of our own, which is given back before the command starts: a session cannot
// be handed on. Between the two somebody else may be faster, so the command also gets FASTRPC_WAIT_MS.
#pragma once

#include "ctl/bus_client.hpp"

#include <functional>

namespace fastrpc::ctl {

struct RunOptions {
    std::string domain; ///< empty: the first that may be used
    std::string pd = "unsigned";
    unsigned seconds = 60;
    std::vector<std::string> command;
};

/// Becomes the command, so that what comes back is always an error: denied, timeout when there was no place in time,
/// not_found for a command that does not exist.
Error run_command(BusClient& client, const RunOptions& options, const std::function<void(const std::string&)>& remark);

} // namespace fastrpc::ctl
