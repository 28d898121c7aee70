#include "vdsp/driver/server.hpp"

#include "base/log.hpp"
#include "vdsp/driver/commands.hpp"
#include "vdsp/driver/datagram.hpp"
#include "vdsp/driver/heap_file.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

namespace fastrpc::vdsp {

namespace {

bool send_bytes(int socket, std::span<const std::byte> bytes) {
    return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(bytes.size());
}

} // namespace

/// What a program holds as its device fd.
struct Server::Connection {
    Server* server = nullptr;
    std::shared_ptr<const UniqueFd> fd;
    sd_event_source* source = nullptr;
    std::uint16_t op = 0;             ///< of its greeting; 0: none yet
    std::shared_ptr<DeviceFile> file; ///< null: it cannot be attached to
    std::int32_t closer = 0;          ///< thread that closed a copy last; none said so: the opener, who then died

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { sd_event_source_disable_unref(source); }
};

Server::Server(std::string path, Driver& driver, sd_event* event) :
    path_(std::move(path)), driver_(driver), event_(event), buffer_(most_command + 1), threads_(driver.buffers()) {}

Server::~Server() {
    sd_event_source_disable_unref(accept_source_);
    if (!listener_) return; // it never served
    ::unlink(path_.c_str());
    driver_.shut_down();
    threads_.stop();
}

Result<std::unique_ptr<Server>> Server::listen(const std::string& path, std::optional<gid_t> group, Driver& driver,
                                               sd_event* event) {
    sockaddr_un address{.sun_family = AF_UNIX};
    if (path.empty() || path.size() >= sizeof address.sun_path || path.front() != '/')
        return fail(ErrorKind::invalid, "socket path \"" + path + "\": give an absolute path of at most 107 bytes");
    std::ranges::copy(path, address.sun_path);
    const auto* any = reinterpret_cast<const sockaddr*>(&address);
    {
        const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        if (!probe) return fail_errno("socket", errno);
        if (::connect(probe.get(), any, sizeof address) == 0)
            return fail(ErrorKind::busy, path + ": another server answers there; stop it or choose another path");
        struct stat status {};
        if (errno == ECONNREFUSED && ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
            ::unlink(path.c_str());
    }
    std::unique_ptr<Server> server(new Server(path, driver, event));
    UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener) return fail_errno("socket", errno);
    const mode_t before = ::umask(0177);
    const int bound = ::bind(listener.get(), any, sizeof address);
    const int error = errno;
    ::umask(before);
    if (bound != 0) return fail_errno(path, error);
    server->listener_ = std::move(listener);
    if (group && (::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0 || ::chmod(path.c_str(), 0660) != 0))
        return fail_errno(path + ": group of the socket", errno);
    auto directory = DeviceDirectory::make(path + ".d", driver);
    if (!directory) return std::unexpected(directory.error());
    server->directory_ = std::move(*directory);
    driver.on_change = [directory = server->directory_.get()] { directory->update(); };
    if (::listen(server->listener_.get(), SOMAXCONN) != 0) return fail_errno(path, errno);
    const int added = sd_event_add_io(event, &server->accept_source_, server->listener_.get(), EPOLLIN,
                                      &Server::on_accept, server.get());
    if (added < 0) return fail_errno("watching the socket", -added);
    return server;
}

int Server::on_accept(sd_event_source*, int fd, std::uint32_t, void* userdata) {
    auto& server = *static_cast<Server*>(userdata);
    UniqueFd socket(::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return 0;
    auto connection = std::make_unique<Connection>();
    connection->server = &server;
    connection->fd = std::make_shared<const UniqueFd>(std::move(socket));
    if (sd_event_add_io(server.event_, &connection->source, connection->fd->get(), EPOLLIN, &Server::on_connection,
                        connection.get()) < 0)
        return 0;
    server.connections_[connection.get()] = std::move(connection);
    return 0;
}

int Server::on_connection(sd_event_source*, int, std::uint32_t, void* userdata) {
    auto& connection = *static_cast<Connection*>(userdata);
    connection.server->read_connection(connection);
    return 0;
}

void Server::read_connection(Connection& connection) {
    std::vector<UniqueFd> fds;
    const Datagram datagram = receive_datagram(connection.fd->get(), buffer_, fds, false);
    if (datagram.state == Datagram::State::none) return;
    const auto bytes = std::span<const std::byte>(buffer_).first(datagram.size);
    bool good = datagram.state == Datagram::State::whole;
    if (good && connection.op == vdsp_op_command) { // the JSON that its greeting announced
        connection.op = vdsp_op_lookup;             // it has served its purpose: anything more ends it
        run_command(driver_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                    [socket = connection.fd](const std::string& answer) {
                        send_bytes(socket->get(), std::as_bytes(std::span(answer)));
                        ::shutdown(socket->get(), SHUT_RDWR); // which the loop sees as the peer's end
                    });
    } else if (good) {
        vdsp_hello hello{};
        good = bytes.size() == sizeof hello;
        if (good) std::memcpy(&hello, bytes.data(), sizeof hello);
        good = good && hello.magic == vdsp_magic && hello.version == vdsp_version &&
               std::memchr(hello.name, 0, sizeof hello.name) != nullptr;
        if (good && connection.op == 0)
            good = fds.empty() && greet(connection, hello);
        else if (good && hello.op == vdsp_op_closing)
            good = fds.empty() && note_closer(connection, hello.tid);
        else if (good)
            good = hello.op == vdsp_op_attach && fds.size() == 1 && add_caller(connection, std::move(fds.front()));
    }
    if (!good) drop(connection);
}

bool Server::greet(Connection& connection, const vdsp_hello& hello) {
    const std::string name = hello.name;
    vdsp_hello_reply answer{.magic = vdsp_magic, .error = 0};
    const int socket = connection.fd->get();
    connection.op = hello.op;
    switch (hello.op) {
    case vdsp_op_open: {
        ucred peer{};
        socklen_t length = sizeof peer;
        if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
        auto opened = driver_.open(name, {.pid = peer.pid, .tid = hello.tid});
        connection.closer = peer.pid;
        if (opened)
            connection.file = std::move(*opened);
        else
            answer.error = opened.error();
        break;
    }
    case vdsp_op_lookup:
        answer.error = driver_.exists(name) ? 0 : ENOENT;
        break;
    case vdsp_op_control:
        connection.file = std::make_shared<ControlFile>();
        break;
    case vdsp_op_command: {
        if (name == "json") return true; // its text comes in the next datagram
        const auto text = run_text_command(driver_, name);
        if (!text) return false;
        if (!text->empty()) return send_bytes(socket, std::as_bytes(std::span(*text)));
        break;
    }
    default:
        return false;
    }
    return send_bytes(socket, std::as_bytes(std::span(&answer, 1))) && answer.error == 0;
}

bool Server::add_caller(Connection& connection, UniqueFd socket) {
    int type = 0;
    socklen_t length = sizeof type;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET) return false;
    if (!connection.file) return false;
    const vdsp_attached attached{.magic = vdsp_magic,
                                 .interface = static_cast<std::uint32_t>(connection.file->interface())};
    if (!send_bytes(socket.get(), std::as_bytes(std::span(&attached, 1)))) return false;
    // Without a thread the channel ends here, and nothing else does.
    if (!threads_.start(std::move(socket), connection.file, connection.fd))
        log::warning("too many threads call at once: a caller was refused");
    return true;
}

bool Server::note_closer(Connection& connection, std::int32_t tid) {
    connection.closer = tid;
    return connection.file != nullptr;
}

void Server::drop(Connection& connection) {
    const auto found = connections_.find(&connection);
    const std::unique_ptr<Connection> keep = std::move(found->second);
    connections_.erase(found);
    if (keep->file) threads_.close(std::move(keep->file), keep->closer);
}

} // namespace fastrpc::vdsp
