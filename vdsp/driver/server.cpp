#include "vdsp/driver/server.hpp"

#include "base/log.hpp"
#include "vdsp/driver/datagram.hpp"
#include "vdsp/driver/open_file.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

namespace fastrpc::vdsp {

namespace {
/// The largest request: all arguments and the most inline data, with the header and the ioctl's struct.
constexpr std::size_t largest_request =
    sizeof(vdsp_request) + sizeof(vdsp_invoke) + vdsp_max_arguments * sizeof(vdsp_argument) + vdsp_max_inline;
} // namespace

/// A socket on the loop.
struct Server::Endpoint {
    Server* server = nullptr;
    UniqueFd fd;
    sd_event_source* source = nullptr;

    Endpoint() = default;
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;
    ~Endpoint() { sd_event_source_disable_unref(source); }
};

/// What a program holds as its device fd.
struct Server::Connection : Endpoint {
    std::uint16_t op = 0;           ///< of its greeting; 0: none yet
    std::shared_ptr<OpenFile> file; ///< of a device node
};

/// The private channel of one thread to one open file (or heap, or the control connection).
struct Server::Caller : Endpoint {
    std::weak_ptr<Connection> connection;
    std::uint16_t op = 0; ///< of the connection
    std::shared_ptr<OpenFile> file;
    TicketPtr ticket;          ///< of the request being served
    std::vector<UniqueFd> fds; ///< that more_fds brought
};

Server::Server(std::string path, Driver& driver, sd_event* event) :
    path_(std::move(path)), driver_(driver), event_(event), buffer_(largest_request + 1) {}

Server::~Server() {
    sd_event_source_disable_unref(accept_source_);
    if (listener_) ::unlink(path_.c_str());
    for (const auto& [key, caller] : callers_)
        if (caller->ticket) caller->ticket->gone = true;
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
    auto connection = std::make_shared<Connection>();
    connection->server = &server;
    connection->fd = std::move(socket);
    if (sd_event_add_io(server.event_, &connection->source, connection->fd.get(), EPOLLIN, &Server::on_connection,
                        connection.get()) < 0)
        return 0;
    server.connections_[connection.get()] = std::move(connection);
    return 0;
}

int Server::on_connection(sd_event_source*, int, std::uint32_t, void* userdata) {
    auto* raw = static_cast<Connection*>(userdata);
    Server& server = *raw->server;
    const auto found = server.connections_.find(raw);
    if (found == server.connections_.end()) return 0;
    const std::shared_ptr<Connection> connection = found->second;
    server.read_connection(connection);
    return 0;
}

bool Server::read_connection(const std::shared_ptr<Connection>& connection) {
    vdsp_hello hello;
    Datagram datagram = receive_datagram(connection->fd.get(), std::as_writable_bytes(std::span(&hello, 1)));
    if (datagram.state == Datagram::State::none) return false;
    const bool complete = datagram.state == Datagram::State::whole && datagram.size == sizeof hello &&
                          hello.magic == vdsp_magic && hello.version == vdsp_version &&
                          std::memchr(hello.name, 0, sizeof hello.name) != nullptr;
    bool good = complete;
    if (complete && connection->op == 0)
        good = datagram.fds.empty() && greet(connection, hello.op, hello.name);
    else if (complete)
        good = hello.op == vdsp_op_attach && datagram.fds.size() == 1 &&
               add_caller(connection, std::move(datagram.fds.front()));
    if (!good) drop(*connection);
    return good;
}

bool Server::greet(const std::shared_ptr<Connection>& connection, std::uint16_t op, const std::string& name) {
    vdsp_hello_reply answer{.magic = vdsp_magic, .error = 0};
    const auto send = [&](std::span<const std::byte> bytes) {
        return ::send(connection->fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(bytes.size());
    };
    connection->op = op;
    if (op == vdsp_op_open) {
        auto opened = driver_.open(name);
        if (opened)
            connection->file = std::move(opened->file);
        else
            answer.error = opened.error();
    } else if (op == vdsp_op_lookup) {
        answer.error = driver_.exists(name) ? 0 : ENOENT;
    } else if (op == vdsp_op_command && name == "status") {
        const std::string text = driver_.status();
        return send(std::as_bytes(std::span(text)));
    } else if (op == vdsp_op_command && name.starts_with("latency ")) {
        std::uint32_t us = 0;
        const auto [end, error] = std::from_chars(name.data() + 8, name.data() + name.size(), us);
        if (error != std::errc{} || *end != '\0') return false;
        driver_.set_latency(us);
    } else if (op != vdsp_op_control) {
        return false;
    }
    return send(std::as_bytes(std::span(&answer, 1))) && answer.error == 0;
}

bool Server::add_caller(const std::shared_ptr<Connection>& connection, UniqueFd socket) {
    int type = 0;
    socklen_t length = sizeof type;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET) return false;
    if (::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK) != 0) return false;
    auto caller = std::make_shared<Caller>();
    caller->server = this;
    caller->fd = std::move(socket);
    caller->connection = connection;
    caller->op = connection->op;
    caller->file = connection->file;
    if (sd_event_add_io(event_, &caller->source, caller->fd.get(), EPOLLIN, &Server::on_caller, caller.get()) < 0)
        return false;
    const vdsp_attached attached{.magic = vdsp_magic,
                                 .interface = connection->file                 ? std::uint32_t{vdsp_interface_misc}
                                              : connection->op == vdsp_op_open ? std::uint32_t{vdsp_interface_heap}
                                                                               : std::uint32_t{vdsp_interface_control}};
    if (::send(caller->fd.get(), &attached, sizeof attached, MSG_NOSIGNAL) != sizeof attached) return false;
    callers_[caller.get()] = std::move(caller);
    return true;
}

int Server::on_caller(sd_event_source*, int, std::uint32_t, void* userdata) {
    auto* raw = static_cast<Caller*>(userdata);
    Server& server = *raw->server;
    const auto found = server.callers_.find(raw);
    if (found == server.callers_.end()) return 0;
    const std::shared_ptr<Caller> caller = found->second;
    Datagram datagram = receive_datagram(caller->fd.get(), server.buffer_);
    if (datagram.state == Datagram::State::none) return 0;
    if (datagram.state != Datagram::State::whole ||
        !server.serve(caller, std::span(server.buffer_).first(datagram.size), std::move(datagram.fds)))
        server.drop(*caller);
    return 0;
}

bool Server::serve(const std::shared_ptr<Caller>& caller, std::span<const std::byte> datagram,
                   std::vector<UniqueFd> fds) {
    vdsp_request request;
    if (datagram.size() < sizeof request) return false;
    std::memcpy(&request, datagram.data(), sizeof request);
    const auto body = datagram.subspan(sizeof request);
    if (request.magic != vdsp_magic || request.version != vdsp_version || request.body != body.size()) return false;
    if (caller->ticket) return false; // one request at a time
    std::ranges::move(fds, std::back_inserter(caller->fds));
    if (request.op == vdsp_op_more_fds) return body.empty() && caller->fds.size() <= vdsp_max_arguments;
    fds = std::exchange(caller->fds, {});
    if (fds.size() != request.fds) return false;

    caller->ticket = std::make_shared<Ticket>();
    caller->ticket->tid = request.tid;
    caller->ticket->reply = [this, weak = std::weak_ptr(caller)](Answer&& answer) {
        if (const auto there = weak.lock()) reply(there, std::move(answer));
    };
    const TicketPtr ticket = caller->ticket;
    switch (request.op) {
    case vdsp_op_ioctl:
        if (caller->op == vdsp_op_open && !caller->file) return allocate(caller, request.code, body);
        return caller->file && caller->file->ioctl(request.code, body, std::move(fds), ticket);
    case vdsp_op_invoke:
        if (caller->op == vdsp_op_open && !caller->file) return allocate(caller, VDSP_INVOKE, body);
        return caller->file && caller->file->invoke(body, std::move(fds), request.flags, ticket);
    case vdsp_op_vouch: {
        if (fds.size() != 1 || !body.empty()) return false;
        const auto buffer = driver_.buffers().find(fds.front().get());
        reply(caller, {.result = buffer ? static_cast<std::int32_t>(buffer->kind) : vdsp_buffer_unknown});
        return true;
    }
    case vdsp_op_wait_release:
        return body.empty() && wait_release(caller);
    default:
        return false;
    }
}

bool Server::wait_release(const std::shared_ptr<Caller>& caller) {
    // The end of the connection may still wait behind what others attached; read on until it is known.
    if (const auto connection = caller->connection.lock())
        while (read_connection(connection)) {
        }
    const auto connection = caller->connection.lock();
    if (!caller->file || (connection && connections_.contains(connection.get()))) {
        reply(caller, {}); // a copy of the fd is left
        return true;
    }
    caller->file->when_released([this, weak = std::weak_ptr(caller)] {
        if (const auto there = weak.lock()) reply(there, {});
    });
    return true;
}

bool Server::allocate(const std::shared_ptr<Caller>& caller, std::uint32_t code, std::span<const std::byte> body) {
    vdsp_heap_alloc request;
    if (code != VDSP_HEAP_ALLOC || body.size() != sizeof request) {
        reply(caller, {.result = -1, .error = ENOTTY});
        return true;
    }
    std::memcpy(&request, body.data(), sizeof request);
    constexpr std::uint64_t page = 4096;
    const std::uint64_t size = (request.len + page - 1) & ~(page - 1);
    if (request.fd != 0 || (request.fd_flags & ~std::uint32_t{O_CLOEXEC | O_ACCMODE}) != 0 || request.heap_flags != 0 ||
        size == 0) {
        reply(caller, {.result = -1, .error = EINVAL});
        return true;
    }
    auto fd = driver_.buffers().allocate(size, BufferKind::heap);
    if (fd && (request.fd_flags & O_ACCMODE) != O_RDWR) {
        const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
        fd->reset(::open(path.c_str(), static_cast<int>(request.fd_flags & O_ACCMODE) | O_CLOEXEC));
    }
    if (!fd || !*fd) {
        reply(caller, {.result = -1, .error = ENOMEM});
        return true;
    }
    const auto bytes = std::as_bytes(std::span(&request, 1));
    reply(caller, {.body = {bytes.begin(), bytes.end()}, .fd = std::move(*fd)});
    return true;
}

void Server::reply(const std::shared_ptr<Caller>& caller, Answer&& answer) {
    caller->ticket.reset();
    if (!send_answer(caller->fd.get(), answer)) drop(*caller);
}

void Server::drop(Connection& connection) {
    const auto found = connections_.find(&connection);
    if (found == connections_.end()) return;
    const std::shared_ptr<Connection> keep = std::move(found->second);
    connections_.erase(found);
    keep->source = sd_event_source_disable_unref(keep->source);
    if (!keep->file) { // a heap, or the control connection
        drop_callers(*keep);
        return;
    }
    const std::shared_ptr<OpenFile> file = std::move(keep->file);
    file->when_released([this, keep] { drop_callers(*keep); });
    file->close();
}

void Server::drop(Caller& caller) {
    const auto found = callers_.find(&caller);
    if (found == callers_.end()) return;
    const std::shared_ptr<Caller> keep = std::move(found->second);
    callers_.erase(found);
    keep->source = sd_event_source_disable_unref(keep->source);
    keep->fd.reset();
    if (keep->ticket && keep->file) keep->file->abandon(*keep->ticket);
}

void Server::drop_callers(const Connection& connection) {
    std::vector<std::shared_ptr<Caller>> gone;
    for (const auto& [key, caller] : callers_)
        if (caller->connection.lock().get() == &connection) gone.push_back(caller);
    for (const auto& caller : gone) drop(*caller);
}

} // namespace fastrpc::vdsp
