// One datagram of the server's sockets, in and out.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/driver/open_file.hpp"

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
    std::vector<UniqueFd> fds;
};

/// Reads one datagram of a nonblocking socket into `storage`; one that does not fit is broken.
Datagram receive_datagram(int socket, std::span<std::byte> storage);

/// Sends `answer` as a vdsp_reply. Outputs go straight out of the payload when they are small and exactly as declared,
/// else through a memfd. False when the peer does not take it.
bool send_answer(int socket, Answer& answer);

} // namespace fastrpc::vdsp
