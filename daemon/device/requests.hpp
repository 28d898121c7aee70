// The ioctls that a host still makes once its PD runs, for its sandbox: those of its dialect and of the heap, no
// others.
#pragma once

#include <string_view>
#include <vector>

namespace fastrpc::daemon {

/// Of a session's host on `backend` (Facts::backend): calls and memory, none of the inits. A name that is no backend's
/// has the heap's alone.
std::vector<unsigned long> session_requests(std::string_view backend);
/// Of a static PD's host, which opens and probes a node again after a restart of its DSP, and finds another driver
/// there perhaps.
std::vector<unsigned long> static_requests();

} // namespace fastrpc::daemon
