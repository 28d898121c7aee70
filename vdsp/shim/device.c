/* Which fds are devices and which are dma-bufs, and what the close of a device is. */
#include "shim.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { vouched_slots = 1024 };

static _Atomic uint64_t vouched[vouched_slots]; /* inode << 2 | vdsp_buffer_* + 1 */

bool shim_is_device(int fd, uint64_t* inode) {
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    if (!shim_active() || !shim_inode(fd, inode, S_IFSOCK)) return false;
    if (shim_file_known(*inode)) return true;
    memset(&peer, 0, sizeof peer);
    if (SHIM_CALL(SYS_getpeername, fd, &peer, &length, 0, 0, 0) != 0 || peer.sun_family != AF_UNIX ||
        strncmp(peer.sun_path, shim_server_path(), sizeof peer.sun_path) != 0)
        return false;
    shim_maybe_set(fd, true);
    return true;
}

int shim_vouch(int fd) {
    struct stat status;
    if (!shim_active() || SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0 || !S_ISREG(status.st_mode) ||
        status.st_dev != shim_memfds())
        return vdsp_buffer_unknown;
    _Atomic uint64_t* slot = &vouched[status.st_ino % vouched_slots];
    const uint64_t known = atomic_load(slot);
    if (known != 0 && known >> 2 == status.st_ino) return (int)(known & 3) - 1;
    uint64_t inode;
    const int connection = shim_control(&inode);
    if (connection < 0) return vdsp_buffer_unknown;
    struct iovec out[1];
    struct iovec in[1];
    struct shim_exchange ask = {.request = {.op = vdsp_op_vouch},
                                .out = out,
                                .out_count = 1,
                                .fds = &fd,
                                .fd_count = 1,
                                .in = in,
                                .in_count = 1,
                                .received = -1,
                                .receive_flags = MSG_CMSG_CLOEXEC};
    if (shim_exchange(connection, inode, &ask) != 0) return vdsp_buffer_unknown;
    /* An inode number of a memfd never comes again, so that the answer holds for good. */
    atomic_store(slot, (uint64_t)status.st_ino << 2 | (uint64_t)(ask.reply.result + 1));
    return ask.reply.result;
}

int shim_close(int fd) {
    uint64_t inode;
    if (fd >= 0) shim_forget_fds((unsigned)fd, (unsigned)fd);
    if (!shim_is_device(fd, &inode)) return (int)SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
    shim_maybe_set(fd, false);
    return shim_hang_up(fd, inode);
}
