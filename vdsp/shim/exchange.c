/* Requests that carry fds of the caller, who may have given bad ones, and replies as the caller gets them. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

int shim_give(const struct vdsp_reply* reply) {
    if (reply->result == -1) errno = reply->error;
    return reply->result;
}

/* Replaces the indices of what cannot be sent, and empties `fds`. */
static void explain_fds(struct vdsp_argument* arguments, size_t count, const int* fds) {
    for (size_t i = 0; i < count; ++i) {
        if (arguments[i].fd_index < 0) continue;
        const int fd = fds[arguments[i].fd_index];
        arguments[i].fd_index = SHIM_CALL(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) < 0 ? vdsp_fd_bad : vdsp_fd_foreign;
    }
}

/* Removes from `fds` what cannot be passed on, one probe each; returns the count that is left. */
static size_t keep_good_fds(struct vdsp_argument* arguments, size_t count, int* fds, size_t fd_count) {
    size_t kept = 0;
    for (size_t f = 0; f < fd_count; ++f) {
        const bool is_open = SHIM_CALL(SYS_fcntl, fds[f], F_GETFD, 0, 0, 0, 0) >= 0;
        for (size_t i = 0; i < count; ++i)
            if (arguments[i].fd_index == (int32_t)f) arguments[i].fd_index = is_open ? (int32_t)kept : vdsp_fd_bad;
        if (is_open) fds[kept++] = fds[f];
    }
    return kept;
}

int shim_exchange_fds(int device, uint64_t inode, struct shim_exchange* exchange, struct vdsp_argument* arguments,
                      size_t count, int* fds, size_t own_fds) {
    int error = shim_exchange(device, inode, exchange);
    if (error != shim_unsendable) return error;
    const size_t given = exchange->fd_count - own_fds;
    int own = own_fds != 0 ? fds[given] : -1;
    size_t kept = keep_good_fds(arguments, count, fds, given);
    if (kept == given) { /* all open: a kind that no socket carries */
        explain_fds(arguments, count, fds);
        kept = 0;
    }
    if (own_fds != 0) fds[kept] = own;
    exchange->fd_count = kept + own_fds;
    error = shim_exchange(device, inode, exchange);
    return error == shim_unsendable ? EBADF : error;
}
