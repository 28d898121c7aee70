// Threads that work for microseconds and sleep again: they should run at once when they wake, not when another program
// has used up its turn.
#pragma once

namespace fastrpc {

/// Asks for the shortest turns that the scheduler gives (0.1 ms), for the calling thread and those that it starts: a
/// thread with shorter turns is let in before one in the middle of a longer turn, and gets no larger share for it.
/// Linux 6.12 and newer; older kernels take the call and change nothing. False when refused (a container's
/// filter) or when the thread is no ordinary one (a unit's CPUSchedulingPolicy=): it runs as it did.
bool take_short_turns() noexcept;

} // namespace fastrpc
