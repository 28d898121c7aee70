// One datagram of the server's sockets, in and out.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/driver/device_file.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

struct Datagram {
    enum class State {
        none,   ///< nothing there now
        ended,  ///< the peer is gone
        broken, ///< cut off, or with too many fds
        whole,
    };
    State state = State::none;
    std::size_t size = 0;
};

/// Reads one datagram into `storage` and appends its fds to `fds`; one that does not fit is broken. `wait`: comes back
/// with one, or when the peer is gone; else at once.
Datagram receive_datagram(int socket, std::span<std::byte> storage, std::vector<UniqueFd>& fds, bool wait);

/// Sends `answer` as a vdsp_reply. Outputs go straight out of the payload when they are small and exactly as declared,
/// else through a memfd. False when the peer does not take it.
bool send_answer(int socket, Answer& answer);

} // namespace fastrpc::vdsp
