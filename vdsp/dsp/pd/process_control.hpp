// adsp_current_process: what a client says to its PD as a process, other than exit (USERSPACE 8.2).
#pragma once

#include "vdsp/dsp/pd/call.hpp"

#include <cstdint>

namespace fastrpc::vdsp {

/// A call on handle 4; the code of the call. Settings that a virtual DSP has no use for are checked and accepted. The
/// method "exception" does not return in a user PD, which dies; other PDs refuse it.
std::int32_t set_process(const Call& call, bool is_user);

} // namespace fastrpc::vdsp
