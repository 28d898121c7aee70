// Where the time of a call goes: the trace of a client and its host, cut into spans that follow each other, so that
// their sum is the whole call.
//
//   client             host               what ends a span
//   prepares                              the client sends: a datagram, or a byte to the bell of a shared lane
//       ---- way there ---->              the host has received it
//                      checks             the ioctl
//                      kernel and DSP     it has returned
//                      completes          the host sends
//       <--- way back ------              the client has received it
//   finishes                              the call has returned
// A side that spins instead of sleeping makes no system call: then the way begins or ends with the neighbouring span.
#pragma once

#include "tests/bench/trace.hpp"

#include <array>
#include <sys/types.h>
#include <vector>

namespace fastrpc::bench {

inline constexpr std::array call_spans{"client prepares", "way there", "host checks",    "kernel and DSP",
                                       "host completes",  "way back",  "client finishes"};

using CallSpans = std::array<double, call_spans.size()>; ///< us

/// Of each call of one client in `events` (Trace::events()), by its marks. Calls without an ioctl of the host are left
/// out.
std::vector<CallSpans> cut_calls(const std::vector<TraceEvent>& events, pid_t client, pid_t host);

} // namespace fastrpc::bench
