// Events of a session, as its host tells them on a socket of their own, and the end of the session as the last one.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "client/fastrpc.h"
#include "ipc/frame.hpp"

#include <atomic>
#include <mutex>

namespace fastrpc::core {

class Session;

class Events {
public:
    explicit Events(Session& session) : session_(session) {}

    /// The socket, which is asked for at the first call; readable when next() has something to say.
    Result<int> fd();
    /// False: `timeout_ms` passed first; -1 waits for ever. ErrorKind::lost after the end was told.
    Result<bool> next(int timeout_ms, fastrpc_event& event);
    /// Wakes whoever waits; the session is over.
    void end() noexcept;

private:
    Result<bool> last(Error seen, fastrpc_event& event);
    Status read(const Frame& frame, fastrpc_event& event);

    Session& session_;
    std::mutex opening_; ///< held while the host is asked for the socket
    std::mutex mutex_;
    UniqueFd socket_;
    bool ended_ = false;
    std::atomic<bool> told_{false};
};

} // namespace fastrpc::core
