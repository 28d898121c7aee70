// Datagrams and bytes that carry fds over a Unix socket, as libc sends and receives them.
//
// For tests that play a peer of ours, or a program that knows nothing of us: whatever of ours they would use instead
// is what they test. Nothing but libc and libstdc++, as the conformance program runs in a guest.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <sys/socket.h>
#include <vector>

namespace fastrpc::test {

/// Sends `bytes` with copies of `fds`; what sendmsg(2) returns.
inline ssize_t send_with_fds(int socket, std::span<const std::byte> bytes, std::span<const int> fds, int flags = 0) {
    iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    std::vector<char> space(fds.empty() ? 0 : CMSG_SPACE(fds.size_bytes()));
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    return ::sendmsg(socket, &message, flags);
}

/// Sends one fd with a byte that means nothing; whether it went.
inline bool send_fd(int socket, int fd) {
    const std::byte byte{};
    return send_with_fds(socket, {&byte, 1}, {&fd, 1}) == 1;
}

/// The fd that comes with the next byte; -1 when none does.
inline int receive_fd(int socket) {
    std::byte byte{};
    iovec part{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    int fd = -1;
    if (::recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != nullptr)
        std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

} // namespace fastrpc::test
