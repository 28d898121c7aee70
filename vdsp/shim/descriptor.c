/* What a device's file cannot do, and a socket could (KERNEL 1.10): it has no read, no write and no poll, so that
 * poll() finds it ready at once and epoll refuses it. Fds that cannot be devices go to libc with one look at a table.
 */
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool is_device(int fd) {
    uint64_t inode;
    return shim_maybe_device(fd) && shim_is_device(fd, &inode);
}

SHIM_EXPORT ssize_t read(int fd, void* buffer, size_t size) {
    return is_device(fd) ? shim_back(-EINVAL) : SHIM_NEXT(read)(fd, buffer, size);
}
SHIM_EXPORT ssize_t write(int fd, const void* buffer, size_t size) {
    return is_device(fd) ? shim_back(-EINVAL) : SHIM_NEXT(write)(fd, buffer, size);
}
ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room);
SHIM_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
    return is_device(fd) ? shim_back(-EINVAL) : SHIM_NEXT(__read_chk)(fd, buffer, size, room);
}

SHIM_EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event* event) {
    return is_device(fd) ? shim_back(-EPERM) : SHIM_NEXT(epoll_ctl)(epoll, operation, fd, event);
}

/* With a device there is nothing to wait for: the others are looked at, and the devices are ready. */
static int poll_now(struct pollfd* fds, nfds_t count) {
    static const short always = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    const int others = SHIM_NEXT(poll)(fds, count, 0);
    if (others < 0) return others;
    int ready = 0;
    for (nfds_t i = 0; i < count; ++i) {
        if (is_device(fds[i].fd)) fds[i].revents = (short)(fds[i].events & always);
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* Is something asked of a device that it has at once? */
static bool device_answers(const struct pollfd* fds, nfds_t count) {
    for (nfds_t i = 0; i < count; ++i)
        if (is_device(fds[i].fd) && (fds[i].events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)) != 0) return true;
    return false;
}

SHIM_EXPORT int poll(struct pollfd* fds, nfds_t count, int timeout) {
    if (device_answers(fds, count)) return poll_now(fds, count);
    return SHIM_NEXT(poll)(fds, count, timeout);
}
SHIM_EXPORT int ppoll(struct pollfd* fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask) {
    if (device_answers(fds, count)) return poll_now(fds, count);
    return SHIM_NEXT(ppoll)(fds, count, timeout, mask);
}
int __poll_chk(struct pollfd* fds, nfds_t count, int timeout, size_t room);
SHIM_EXPORT int __poll_chk(struct pollfd* fds, nfds_t count, int timeout, size_t room) {
    if (room / sizeof *fds < count) return SHIM_NEXT(__poll_chk)(fds, count, timeout, room);
    return poll(fds, count, timeout);
}
int __ppoll_chk(struct pollfd* fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask, size_t room);
SHIM_EXPORT int __ppoll_chk(struct pollfd* fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask,
                            size_t room) {
    if (room / sizeof *fds < count) return SHIM_NEXT(__ppoll_chk)(fds, count, timeout, mask, room);
    return ppoll(fds, count, timeout, mask);
}
