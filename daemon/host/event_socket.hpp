// The events socket of a session: what happens to its PD, told to a client that listens (lane.hpp, USERSPACE 9.2).
//
// Never waits: a client that does not read loses events, and learns the end from the socket's.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/control.hpp"
#include "ipc/lane.hpp"

#include <cstdint>
#include <string_view>
#include <sys/uio.h>

namespace fastrpc::daemon {

/// What a client is told of an end.
PdStatus pd_status(LostReason why) noexcept;

class EventSocket {
public:
    /// `generation` of the PD.
    explicit EventSocket(std::uint64_t generation) : generation_(generation) {}

    /// The client's end, on which the PD is reported up at once. ErrorKind::busy while the client has another one open.
    Result<UniqueFd> open();
    // To a client that listens, if there is one.
    void tell(PdStatus status, std::string_view why) const;
    void ask_to_leave(const LeaveMessage& message) const;

private:
    void send(EventOp op, iovec event, std::string_view text) const;

    std::uint64_t generation_;
    UniqueFd socket_;
};

} // namespace fastrpc::daemon
