/* The server of the virtual SoC, and the connections to it: an open node is one of them. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { hinted_fds = 4096 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sockaddr_un server; /* sun_path empty: pass everything through */
static uint64_t memfds;
static _Atomic uint8_t hints[hinted_fds]; /* fds that may be devices */
static _Atomic uint64_t control_link;     /* (fd + 1) << 40 | inode of the control connection, 0: none */
static const uint64_t inode_mask = ((uint64_t)1 << 40) - 1;

static void set_up(void) {
    const char* path = getenv("FASTRPC_VDSP_SOCKET");
    if (path == NULL || path[0] != '/' || strlen(path) >= sizeof server.sun_path) return;
    const int memfd = (int)SHIM_CALL(SYS_memfd_create, "fastrpc-vdsp-probe", MFD_CLOEXEC, 0, 0, 0, 0);
    struct stat status;
    if (memfd >= 0 && SHIM_CALL(SYS_fstat, memfd, &status, 0, 0, 0, 0) == 0) memfds = status.st_dev;
    if (memfd >= 0) shim_close_raw(memfd);
    server.sun_family = AF_UNIX;
    strcpy(server.sun_path, path);
}

bool shim_active(void) {
    pthread_once(&once, set_up);
    return server.sun_path[0] != '\0';
}

const char* shim_server_path(void) {
    return server.sun_path;
}

uint64_t shim_memfds(void) {
    return memfds;
}

bool shim_maybe_device(int fd) {
    return fd >= 0 && fd < hinted_fds && atomic_load_explicit(&hints[fd], memory_order_relaxed) != 0;
}

void shim_maybe_set(int fd, bool device) {
    if (fd >= 0 && fd < hinted_fds) atomic_store_explicit(&hints[fd], device, memory_order_relaxed);
}

/* A greeted connection, or -errno. */
static int greet(uint16_t op, const char* name) {
    struct vdsp_hello hello = {.magic = vdsp_magic,
                               .version = vdsp_version,
                               .op = op,
                               .tid = (int32_t)SHIM_CALL(SYS_gettid, 0, 0, 0, 0, 0, 0)};
    struct vdsp_hello_reply reply = {.error = EIO};
    long done;
    if (strlen(name) >= sizeof hello.name) return -ENOENT;
    strcpy(hello.name, name);
    const int fd = (int)SHIM_CALL(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0) return fd;
    do done = SHIM_CALL(SYS_connect, fd, &server, sizeof server, 0, 0, 0);
    while (done == -EINTR);
    if (done == 0) done = SHIM_CALL(SYS_sendto, fd, &hello, sizeof hello, MSG_NOSIGNAL, 0, 0);
    if (done == (long)sizeof hello) {
        do done = SHIM_CALL(SYS_recvfrom, fd, &reply, sizeof reply, 0, 0, 0);
        while (done == -EINTR);
        if (done != (long)sizeof reply || reply.magic != vdsp_magic) reply.error = EIO;
    } else {
        reply.error = done == -EACCES ? EACCES : ENOENT; /* no server is no node */
    }
    if (reply.error == 0) return fd;
    shim_close_raw(fd);
    return reply.error > 0 ? -reply.error : -EIO;
}

int shim_lookup(const char* name) {
    const int fd = greet(vdsp_op_lookup, name);
    if (fd < 0) return -fd;
    shim_close_raw(fd);
    return 0;
}

/* It is made with the first device, while the program may still connect. */
int shim_control(uint64_t* inode) {
    for (;;) {
        uint64_t link = atomic_load(&control_link);
        const int fd = (int)(link >> 40) - 1;
        if (fd >= 0 && shim_inode(fd, inode, S_IFSOCK) && (*inode & inode_mask) == (link & inode_mask)) return fd;
        int fresh = greet(vdsp_op_control, "");
        if (fresh < 0) return -1;
        fresh = shim_high_fd(fresh);
        if (!shim_inode(fresh, inode, S_IFSOCK)) return -1;
        if (atomic_compare_exchange_strong(&control_link, &link, (uint64_t)(fresh + 1) << 40 | (*inode & inode_mask)))
            return fresh;
        shim_close_raw(fresh); /* another thread was faster */
    }
}

int shim_open(const char* name, int flags) {
    uint64_t unused;
    if ((flags & O_DIRECTORY) != 0) {
        const int error = shim_lookup(name);
        return error != 0 ? -error : -ENOTDIR;
    }
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) && shim_lookup(name) == 0) return -EEXIST;
    const int fd = greet(vdsp_op_open, name);
    if (fd < 0) return fd;
    if ((flags & O_CLOEXEC) == 0) SHIM_CALL(SYS_fcntl, fd, F_SETFD, 0, 0, 0, 0);
    shim_maybe_set(fd, true);
    shim_control(&unused);
    return fd;
}
