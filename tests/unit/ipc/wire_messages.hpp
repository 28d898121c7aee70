// One of each control message, with a value of its own in each member, for the frozen bytes in wire/.
//
// Members that later versions added are set here as well; older versions leave them out.
#pragma once

#include "ipc/control.hpp"

#include <cstdint>

namespace fastrpc::test {

inline Grant wire_grant() {
    std::array<std::byte, 32> hash{};
    for (std::size_t i = 0; i < hash.size(); ++i) hash[i] = static_cast<std::byte>(0xA0 + i);
    Grant grant;
    grant.rule = "unsigned-for-all";
    grant.file = "/usr/lib/fastrpcd/policy.d/50-default.json";
    grant.line = 12;
    grant.revision = 0xFEDC'BA98'7654'3210;
    grant.attributes = 0x18;
    grant.limits = {.sessions_per_uid = 4,
                    .lanes = 16,
                    .mapped_bytes = 1ULL << 33,
                    .buffers = 256,
                    .deadline_ms = 60000,
                    .lanes_per_uid = 48,
                    .mapped_bytes_per_uid = 1ULL << 34,
                    .fds_per_uid = 1024,
                    .queued_per_uid = 6,
                    .opens_per_minute = 300,
                    .queue_ms = 30000,
                    .reclaim_idle_ms = 20000,
                    .best_priority = 192,
                    .stack_bytes = 1 << 16,
                    .directories = 3};
    grant.thread_priority = 200;
    grant.thread_stack = 1 << 15;
    grant.trusted = true;
    grant.modules = {{"libfirst_skel.so", hash}, {"libsecond_skel.so", {}}};
    return grant;
}

inline StartMessage wire_start() {
    StartMessage m;
    m.session_id = 0x1122334455667788;
    m.domain = Domain::gdsp1;
    m.kind = PdKind::signed_user;
    m.owner_uid = 1000;
    m.label = "camera";
    m.opened_us = 1700000000123456;
    m.grant = wire_grant();
    m.module_files = {"libfirst_skel.so"};
    return m;
}

inline Description wire_session() {
    Description m;
    m.session_id = 77;
    m.domain = Domain::cdsp1;
    m.kind = PdKind::unsigned_user;
    m.state = PdState::running;
    m.generation = 3;
    m.restarts = 2;
    m.pid = 4321;
    m.owner_uid = 1001;
    m.label = "b\u00fcro";
    m.opened_us = 1700000000999999;
    m.node = "/dev/fastrpc-cdsp";
    m.reason = "the session was opened";
    m.grant = wire_grant();
    m.backend = "misc";
    m.profile = "Linux 6.12";
    m.capabilities = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    m.program = "1.2.3";
    return m;
}

inline Description wire_static() {
    Description m;
    m.domain = Domain::adsp;
    m.kind = PdKind::sensors;
    m.state = PdState::restarting;
    m.generation = 9;
    m.restarts = 8;
    m.pid = 65;
    m.reason = "the DSP restarted";
    return m;
}

inline Counters wire_counters() {
    return {.calls = 1,
            .failed_calls = 2,
            .bytes = 3,
            .reverse_calls = 4,
            .files_served = 5,
            .bytes_served = 6,
            .files_missing = 7,
            .last_missing = "libmissing.so",
            .lanes = 8,
            .buffers = 9,
            .mapped_bytes = 10,
            .p50_us = 11,
            .p99_us = 12,
            .in_flight = 13,
            .idle_ms = 1ULL << 40};
}

inline Latency wire_latency() {
    Latency latency{.sum_ns = 0x0102030405060708};
    for (std::size_t i = 0; i < latency.calls.size(); ++i) latency.calls[i] = i + 1;
    return latency;
}

inline FilesPage wire_page() {
    return {true,
            {{1, "libc++.so.1", {"/usr/lib/dsp/libc++.so.1"}, "", 2, 0, 4096, 17, 1700000000000001},
             {7, "libx.so", {"/usr/lib/dsp", "/etc"}, "not found", 0, 3, 0, 0, 1700000000000002}}};
}

/// Calls `use(name, message)` for each that is in this version.
void each_wire_message(std::uint16_t version, auto use) {
    use("start", wire_start());
    use("describe.session", wire_session());
    use("describe.static", wire_static());
    use("counters", wire_counters());
    if (version >= control_latency) use("latency", wire_latency());
    use("failed", FailedMessage{ErrorKind::dsp, -5, "the DSP refused"});
    use("bye", ByeMessage{"the client closed its end", wire_counters(), 7});
    use("terminate", TerminateMessage{LostReason::reclaimed, "others wait"});
    use("leave", LeaveMessage{2000, "others wait"});
    use("command", PdCommand{PdAction::restart, "uid 0 (root)"});
    use("files", FilesRequest{0x1122334455667788});
    use("files.page", wire_page());
}

} // namespace fastrpc::test
