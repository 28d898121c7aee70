// The limits of a grant as the bus shows them, each by its name and of its type: one list for the answer of
// OpenSession, for ExplainAccess and for a session's Limits.
#pragma once

#include "ipc/grant.hpp"

namespace fastrpc::broker {

/// Calls `show(const char* name, number)` for each, of type std::uint32_t or std::uint64_t.
template<class Show>
void each_limit(const Limits& limits, Show show) {
    show("sessions", limits.sessions_per_uid);
    show("lanes", limits.lanes);
    show("memory", limits.mapped_bytes);
    show("buffers", limits.buffers);
    show("deadline-ms", limits.deadline_ms);
    show("lanes-per-uid", limits.lanes_per_uid);
    show("memory-per-uid", limits.mapped_bytes_per_uid);
    show("fds-per-uid", limits.fds_per_uid);
    show("queued-per-uid", limits.queued_per_uid);
    show("opens-per-minute", limits.opens_per_minute);
    show("queue-ms", limits.queue_ms);
    show("reclaim-idle-ms", limits.reclaim_idle_ms);
    show("best-priority", limits.best_priority);
    show("stack", limits.stack_bytes);
    show("directories", limits.directories);
}

} // namespace fastrpc::broker
