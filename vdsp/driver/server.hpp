// The socket of the virtual kernel: greets connections, hands the channels of their callers to threads, and takes
// commands (protocol.h).
//
// The loop serves connections and never blocks; requests of open files run on the threads of their callers. A peer that
// breaks the protocol loses its connection or channel, and nothing else happens.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "vdsp/driver/caller_thread.hpp"
#include "vdsp/driver/device_directory.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/shim/protocol.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <unordered_map>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vdsp {

/// The loop must not run any more once the server has ended, which ends every call.
class Server {
public:
    /// Listens at `path`; with `group`, the socket belongs to it with mode 0660, else 0600. A socket that nobody
    /// answers is replaced, with the directory beside it; ErrorKind::busy when a server does.
    static Result<std::unique_ptr<Server>> listen(const std::string& path, std::optional<gid_t> group, Driver& driver,
                                                  sd_event* event);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

private:
    struct Connection;

    Server(std::string path, Driver& driver, sd_event* event);
    static int on_accept(sd_event_source* source, int fd, std::uint32_t events, void* server);
    static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* connection);

    void read_connection(Connection& connection);
    /// False: the peer broke the protocol, or its connection has served its purpose.
    bool greet(Connection& connection, const vdsp_hello& hello);
    bool add_caller(Connection& connection, UniqueFd socket);
    bool note_closer(Connection& connection, std::int32_t tid);
    void drop(Connection& connection);

    std::string path_;
    Driver& driver_;
    sd_event* event_;
    UniqueFd listener_;
    sd_event_source* accept_source_ = nullptr;
    std::unique_ptr<DeviceDirectory> directory_;
    std::vector<std::byte> buffer_; ///< of the datagram being read
    std::unordered_map<const void*, std::unique_ptr<Connection>> connections_;
    CallerThreads threads_;
};

} // namespace fastrpc::vdsp
