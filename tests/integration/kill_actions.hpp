// What the client of a kill point does, up to the hold and into it (kill_steps.hpp).
//
// These run in the client's own process, which is that of one client: what has to last as long as it does is static.
#pragma once

#include "tests/integration/kill_steps.hpp"

#include <poll.h>
#include <sys/socket.h>

namespace fastrpc::test {

/// The next call of a user PD to `handle` takes longer than any kill.
inline json slow(unsigned handle, int method = -1) {
    json rule{{"pd", "user"}, {"handle", handle}, {"count", 1}, {"do", "latency"}, {"latency", {{"us", 1'500'000}}}};
    if (method >= 0) rule["method"] = method;
    return rule;
}
/// Handles of the DSP, and methods of the kernel's own calls (KERNEL 1.12).
inline constexpr unsigned kernel_handle = 1, exit_handle = 4, listener_handle = 7, loader_handle = 8;
inline constexpr int release_method = 1, mem_map_method = 10, mem_unmap_method = 11;

inline void wait_readable(int socket) {
    pollfd wanted{socket, POLLIN, 0};
    ::poll(&wanted, 1, -1);
}
inline void with_session(RawClient& client) {
    client.session();
}
inline void with_lane(RawClient& client) {
    client.lane();
}
inline void with_module(RawClient& client) {
    client.module();
}
inline void with_buffer(RawClient& client) {
    client.module();
    client.buffer();
}

/// Says it on the session socket; `answered` waits until the answer is there, and leaves it there.
inline void say(RawClient& client, SessionOp op, std::vector<std::byte> payload, bool answered = false,
                std::vector<int> fds = {}) {
    RawClient::say(client.session(), request(op, std::move(payload), std::move(fds)));
    if (answered) wait_readable(client.session());
}
inline void say(RawClient& client, LaneOp op, std::vector<std::byte> payload, bool answered = false) {
    RawClient::say(client.lane(), request(op, std::move(payload)));
    if (answered) wait_readable(client.lane());
}

} // namespace fastrpc::test
