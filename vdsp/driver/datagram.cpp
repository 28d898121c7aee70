#include "vdsp/driver/datagram.hpp"

#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace fastrpc::vdsp {

namespace {

constexpr std::size_t most_fds = 253;     // SCM_MAX_FD
constexpr std::size_t most_outputs = 255; // what the scalars can count

bool send_with_fd(int socket, std::span<iovec> pieces, int fd) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{.msg_iov = pieces.data(), .msg_iovlen = pieces.size()};
    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

bool write_fully(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(fd, bytes.data(), bytes.size());
        if (put <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return true;
}

/// The outputs in a memfd that stands at its start; none when memory is short.
UniqueFd bounce(std::span<const Delivery> outputs) {
    UniqueFd memory(::memfd_create("fastrpc-vdsp-outputs", MFD_CLOEXEC));
    if (!memory) return {};
    for (const Delivery& output : outputs) {
        const vdsp_output header{.index = output.index, .length = output.bytes.size()};
        if (!write_fully(memory.get(), std::as_bytes(std::span(&header, 1))) ||
            !write_fully(memory.get(), output.bytes))
            return {};
    }
    if (::lseek(memory.get(), 0, SEEK_SET) != 0) return {};
    return memory;
}

bool as_declared(const Answer& answer) {
    return std::ranges::equal(answer.outputs, answer.declared, [](const Delivery& output, const vdsp_output& declared) {
        return output.index == declared.index && output.bytes.size() == declared.length;
    });
}

} // namespace

Datagram receive_datagram(int socket, std::span<std::byte> storage, std::vector<UniqueFd>& fds, bool wait) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * most_fds)];
    iovec piece{.iov_base = storage.data(), .iov_len = storage.size()};
    msghdr message;
    ssize_t got;
    for (;;) {
        message = {};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        got = ::recvmsg(socket, &message, (wait ? 0 : MSG_DONTWAIT) | MSG_CMSG_CLOEXEC);
        if (got >= 0 || (errno != EAGAIN && errno != EINTR)) break;
        if (!wait) return {};
        // The peer has the other name of this very file, and may have made it nonblocking.
        pollfd readable{.fd = socket, .events = POLLIN, .revents = 0};
        ::poll(&readable, 1, -1);
    }
    if (got <= 0) return {.state = Datagram::State::ended};
    Datagram datagram{.state = Datagram::State::whole, .size = static_cast<std::size_t>(got)};
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) datagram.state = Datagram::State::broken;
    return datagram;
}

bool send_answer(int socket, Answer& answer) {
    vdsp_reply reply{.magic = vdsp_magic,
                     .version = vdsp_version,
                     .flags = 0,
                     .result = answer.result,
                     .error = answer.error,
                     .body = answer.body.size()};
    std::array<iovec, 2 + most_outputs> pieces;
    std::size_t count = 0;
    pieces[count++] = {.iov_base = &reply, .iov_len = sizeof reply};
    if (!answer.body.empty()) pieces[count++] = {.iov_base = answer.body.data(), .iov_len = answer.body.size()};
    std::uint64_t total = 0;
    for (const Delivery& output : answer.outputs) total += output.bytes.size();
    if (total > vdsp_max_inline || !as_declared(answer)) {
        answer.fd = bounce(answer.outputs);
        reply.flags = vdsp_flag_bounce;
        if (!answer.fd) {
            reply = {
                .magic = vdsp_magic, .version = vdsp_version, .flags = 0, .result = -1, .error = ENOMEM, .body = 0};
        }
    } else {
        for (const Delivery& output : answer.outputs)
            pieces[count++] = {.iov_base = const_cast<std::byte*>(output.bytes.data()), .iov_len = output.bytes.size()};
        reply.body += total;
    }
    return send_with_fd(socket, std::span(pieces).first(count), answer.fd.get());
}

} // namespace fastrpc::vdsp
