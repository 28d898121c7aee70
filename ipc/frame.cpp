#include "ipc/frame.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace fastrpc {
namespace {

constexpr std::size_t max_pieces = 16;

std::unexpected<Error> socket_error(std::string_view what, int os_error) {
    if (os_error == EPIPE || os_error == ECONNRESET)
        return fail(ErrorKind::lost, std::string(what) + ": the peer closed the connection", os_error);
    return fail_errno(what, os_error);
}

std::unexpected<Error> malformed(std::string text) {
    return fail(ErrorKind::protocol, std::move(text), EPROTO);
}

// Takes every fd of `message` into ownership first, so that an early return leaks none.
std::vector<UniqueFd> take_fds(msghdr& message) {
    std::vector<UniqueFd> fds;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
    return fds;
}

} // namespace

Status send_frame(int socket, FrameHeader header, std::span<const iovec> pieces, std::span<const int> fds) {
    std::array<iovec, max_pieces + 1> parts;
    if (pieces.size() > max_pieces || fds.size() > max_frame_fds)
        return fail(ErrorKind::invalid, "a frame has too many pieces or fds");
    std::size_t size = 0;
    for (const iovec& piece : pieces) size += piece.iov_len;
    header.magic = frame_magic;
    header.payload = static_cast<std::uint32_t>(size);
    header.fds = static_cast<std::uint32_t>(fds.size());
    parts[0] = {&header, sizeof header};
    std::ranges::copy(pieces, parts.begin() + 1);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = pieces.size() + 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_frame_fds)> control{};
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
    }
    ssize_t sent = 0;
    do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return socket_error("sending a frame", errno);
    return {};
}

Status send_frame(int socket, FrameHeader header, std::span<const std::byte> payload, std::span<const int> fds) {
    const iovec piece{const_cast<std::byte*>(payload.data()), payload.size()};
    return send_frame(socket, header, std::span(&piece, 1), fds);
}

Status send_error(int socket, const FrameHeader& request, const Error& error) {
    FrameHeader header;
    header.version = request.version;
    header.opcode = request.opcode;
    header.flags = frame_reply;
    header.status = static_cast<std::uint32_t>(error.kind);
    header.cookie = request.cookie;
    return send_frame(socket, header, std::as_bytes(std::span(error.text)));
}

namespace {

enum class Versions { first, any };

Status check_parts(const FrameHeader& header, std::size_t payload, std::size_t fds, std::size_t max_fds,
                   Versions versions) {
    if (header.magic != frame_magic || (versions == Versions::first && header.version != frame_version))
        return malformed(fmt::format("not a version {} frame (magic {:#x}, version {})", frame_version, header.magic,
                                     header.version));
    if (header.payload != payload)
        return malformed(fmt::format("a frame says {} bytes of payload and has {}", header.payload, payload));
    if (header.fds != fds || fds > max_fds)
        return malformed(fmt::format("a frame says {} fds, {} came, {} are allowed", header.fds, fds, max_fds));
    if ((header.flags & ~frame_reply) != 0) return malformed(fmt::format("unknown frame flags {:#x}", header.flags));
    if ((header.flags & frame_reply) == 0 && header.status != 0) return malformed("a request carries a status");
    return {};
}

/// Checks a datagram of `size` bytes and makes the frame's header and payload of it.
Status check_frame(Frame& frame, std::span<std::byte> storage, std::size_t size, int flags, std::size_t max_fds,
                   Leftovers* leftovers, Versions versions) {
    if ((flags & MSG_TRUNC) != 0 || size < sizeof(FrameHeader))
        return malformed(fmt::format("a frame of {} bytes is truncated or too long", size));
    std::memcpy(&frame.header, storage.data(), sizeof frame.header);
    const FrameHeader& header = frame.header;
    if ((flags & MSG_CTRUNC) != 0) { // surplus fds, or ours are used up
        if (leftovers == nullptr || header.fds > max_fds || frame.fds.size() >= header.fds)
            return malformed(fmt::format("a frame of {} bytes is truncated or too long", size));
        leftovers->no_numbers = true;
    }
    // Fds that found no number are counted as if they had come.
    const bool lost = leftovers != nullptr && leftovers->no_numbers;
    const std::size_t fds = lost ? header.fds : frame.fds.size();
    if (Status checked = check_parts(header, size - sizeof(FrameHeader), fds, max_fds, versions); !checked)
        return checked;
    frame.payload = storage.subspan(sizeof(FrameHeader), header.payload);
    return {};
}

Result<Frame> receive(int socket, std::span<std::byte> storage, std::size_t max_fds, Leftovers* leftovers,
                      Versions versions) {
    iovec part{storage.data(), storage.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    // Room for one fd more than allowed: a surplus one is then seen as a count, not only as a truncation.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (max_frame_fds + 1))> control{};
    if (max_fds > 0) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (std::min(max_fds, max_frame_fds) + 1));
    }
    ssize_t got = 0;
    do got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) return socket_error("receiving a frame", errno);
    Frame frame;
    if (max_fds > 0) frame.fds = take_fds(message);
    if (got == 0) return fail(ErrorKind::lost, "the peer closed the connection");
    Status checked =
        check_frame(frame, storage, static_cast<std::size_t>(got), message.msg_flags, max_fds, leftovers, versions);
    if (checked) return frame;
    if (leftovers != nullptr) leftovers->fds = std::move(frame.fds);
    return std::unexpected(std::move(checked.error()));
}

} // namespace

Result<Frame> receive_frame(int socket, std::span<std::byte> storage, std::size_t max_fds, Leftovers* leftovers) {
    return receive(socket, storage, max_fds, leftovers, Versions::first);
}

Result<Frame> receive_frame_of_any_version(int socket, std::span<std::byte> storage, std::size_t max_fds) {
    return receive(socket, storage, max_fds, nullptr, Versions::any);
}

Status check_header(const FrameHeader& header, std::size_t payload, std::size_t fds, std::size_t max_fds) {
    return check_parts(header, payload, fds, max_fds, Versions::first);
}

Error error_of(const Frame& reply) {
    const std::uint32_t status = reply.header.status;
    const bool known = status > 0 && status <= static_cast<std::uint32_t>(ErrorKind::dsp);
    return {known ? static_cast<ErrorKind>(status) : ErrorKind::protocol, 0,
            std::string(reinterpret_cast<const char*>(reply.payload.data()), reply.payload.size())};
}

Result<std::pair<UniqueFd, UniqueFd>> socket_pair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
        return fail_errno("socketpair", errno);
    return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Result<UniqueFd> connect_seqpacket(std::string_view path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, fmt::format("socket path {} is empty or too long", path));
    std::ranges::copy(path, address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return fail_errno("socket", errno);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(fmt::format("connecting to {}", path), errno);
    return socket;
}

} // namespace fastrpc
