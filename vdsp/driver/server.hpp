// The socket side of the virtual kernel: turns datagrams of shims into requests of open files (protocol.h).
//
// One sd-event loop serves everything and never blocks: sockets are nonblocking, calls are answered when the DSP has. A
// peer that breaks the protocol loses its connection or channel, and nothing else happens.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "vdsp/driver/driver.hpp"

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

struct Answer;

/// The loop must not run any more once the server has ended.
class Server {
public:
    /// Listens at `path`; with `group`, the socket belongs to it with mode 0660, else 0600. A socket that nobody
    /// answers is replaced; ErrorKind::busy when a server does.
    static Result<std::unique_ptr<Server>> listen(const std::string& path, std::optional<gid_t> group, Driver& driver,
                                                  sd_event* event);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

private:
    struct Connection;
    struct Caller;
    struct Endpoint;

    Server(std::string path, Driver& driver, sd_event* event);
    static int on_accept(sd_event_source* source, int fd, std::uint32_t events, void* server);
    static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* connection);
    static int on_caller(sd_event_source* source, int fd, std::uint32_t events, void* caller);

    /// Reads one datagram of a connection; false when there is none left or the connection has ended.
    bool read_connection(const std::shared_ptr<Connection>& connection);
    /// False: the peer broke the protocol.
    bool greet(const std::shared_ptr<Connection>& connection, std::uint16_t op, const std::string& name);
    bool add_caller(const std::shared_ptr<Connection>& connection, UniqueFd socket);
    bool serve(const std::shared_ptr<Caller>& caller, std::span<const std::byte> datagram, std::vector<UniqueFd> fds);
    bool wait_release(const std::shared_ptr<Caller>& caller);
    bool allocate(const std::shared_ptr<Caller>& caller, std::uint32_t code, std::span<const std::byte> body);
    void reply(const std::shared_ptr<Caller>& caller, Answer&& answer);
    void drop(Connection& connection);
    void drop(Caller& caller);
    void drop_callers(const Connection& connection);

    std::string path_;
    Driver& driver_;
    sd_event* event_;
    UniqueFd listener_;
    sd_event_source* accept_source_ = nullptr;
    std::vector<std::byte> buffer_; ///< of the datagram being read
    std::unordered_map<const void*, std::shared_ptr<Connection>> connections_;
    std::unordered_map<const void*, std::shared_ptr<Caller>> callers_;
};

} // namespace fastrpc::vdsp
