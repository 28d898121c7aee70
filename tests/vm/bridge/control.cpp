#include "tests/vm/bridge/control.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>
#include <systemd/sd-event.h>
#include <unistd.h>

namespace fastrpc::vm {
namespace {

constexpr std::size_t max_datagram = std::size_t{128} << 10;

std::optional<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
    std::ranges::copy(path, address.sun_path);
    return address;
}

} // namespace

Control::Control(const std::string& path, sd_event* event, Answer answer) : path_(path), answer_(std::move(answer)) {
    const auto address = address_of(path);
    if (!address) throw std::system_error(ENAMETOOLONG, std::generic_category(), "control socket " + path);
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::unlink(path.c_str());
    if (!socket_ || ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        ::chmod(path.c_str(), 0600) != 0)
        throw std::system_error(errno, std::generic_category(), "control socket " + path);
    const int error = sd_event_add_io(
        event, &source_, socket_.get(), EPOLLIN,
        [](sd_event_source*, int, std::uint32_t, void* self) {
            static_cast<Control*>(self)->take();
            return 0;
        },
        this);
    if (error < 0) throw std::system_error(-error, std::generic_category(), "watching the control socket");
}

Control::~Control() {
    sd_event_source_disable_unref(source_);
    ::unlink(path_.c_str());
}

void Control::take() {
    std::string text(max_datagram, '\0');
    sockaddr_un from{};
    socklen_t length = sizeof from;
    const ssize_t got =
        ::recvfrom(socket_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) return;
    text.resize(static_cast<std::size_t>(got));
    const std::string answer = answer_(text);
    // Whoever asked and left gets nothing.
    ::sendto(socket_.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&from), length);
}

Result<std::string> control(const std::string& path, std::string_view command) {
    const auto address = address_of(path);
    if (!address) return fail(ErrorKind::invalid, "the path of the control socket is empty or too long: " + path);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un own{};
    own.sun_family = AF_UNIX; // no name: the kernel picks one for the answer
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), offsetof(sockaddr_un, sun_path)) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return fail_errno("a socket", errno);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        ::send(socket.get(), command.data(), command.size(), MSG_NOSIGNAL) < 0)
        return fail_errno("command to " + path, errno);
    std::string answer(max_datagram, '\0');
    const ssize_t got = ::recv(socket.get(), answer.data(), answer.size(), 0);
    if (got < 0) return fail_errno("answer from " + path, errno);
    answer.resize(static_cast<std::size_t>(got));
    return answer;
}

} // namespace fastrpc::vm
