/* The server, the open files and the calling thread's private channels to them. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    first_own_fd = 200,
    channels_per_thread = 8,
    known_channels = 1024, /* of all threads, for fork */
    device_numbers = 4096,
    vouched_slots = 1024,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static struct sockaddr_un server; /* sun_path empty: pass everything through */
static uint64_t memfd_device;

/* A channel of the calling thread. */
struct channel {
    uint64_t file;  /* inode of the device fd */
    uint64_t inode; /* of fd: tells when the program closed it under us */
    int fd;         /* -1: free */
    int known;      /* index into channels_known, or -1 */
    uint32_t interface;
    bool busy;
    unsigned used;
};

struct thread_state {
    pid_t pid; /* 0: not set up; another one: we are a fork's child */
    pid_t tid;
    unsigned clock;
    struct channel channels[channels_per_thread];
};
static __thread struct thread_state state __attribute__((tls_model("initial-exec")));

/* fd + 1 of every channel, so that a fork's child can let go of them all: a channel must end with its caller. */
static _Atomic int channels_known[known_channels];
static _Atomic uint8_t device_fds[device_numbers]; /* fds that may be devices: close() looks twice at them */
static _Atomic uint64_t vouched[vouched_slots];    /* inode << 2 | vdsp_buffer_* + 1 */
static _Atomic uint64_t control_link;              /* (fd + 1) << 40 | inode of the control connection, 0: none */
static const uint64_t inode_mask = ((uint64_t)1 << 40) - 1;

static void close_raw(int fd) {
    SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
}

static bool inode_of(int fd, uint64_t* inode, mode_t type) {
    struct stat status;
    if (SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0 || (status.st_mode & S_IFMT) != type) return false;
    *inode = status.st_ino;
    return true;
}

static void let_go(struct channel* channel) {
    uint64_t inode;
    if (channel->fd < 0) return;
    if (channel->known >= 0) atomic_store(&channels_known[channel->known], 0);
    if (inode_of(channel->fd, &inode, S_IFSOCK) && inode == channel->inode) close_raw(channel->fd);
    channel->fd = -1;
}

static void thread_ends(void* unused) {
    (void)unused;
    for (int i = 0; i < channels_per_thread; ++i) let_go(&state.channels[i]);
}

static void fork_child(void) {
    for (int i = 0; i < known_channels; ++i) {
        const int fd = atomic_exchange(&channels_known[i], 0) - 1;
        if (fd >= 0) close_raw(fd);
    }
}

static void set_up(void) {
    const char* path = getenv("FASTRPC_VDSP_SOCKET");
    if (path == NULL || *path == '\0' || strlen(path) >= sizeof server.sun_path) return;
    const int memfd = (int)SHIM_CALL(SYS_memfd_create, "fastrpc-vdsp-probe", MFD_CLOEXEC, 0, 0, 0, 0);
    struct stat status;
    if (memfd >= 0 && SHIM_CALL(SYS_fstat, memfd, &status, 0, 0, 0, 0) == 0) memfd_device = status.st_dev;
    if (memfd >= 0) close_raw(memfd);
    if (pthread_key_create(&thread_key, thread_ends) != 0 || pthread_atfork(NULL, NULL, fork_child) != 0) return;
    server.sun_family = AF_UNIX;
    strcpy(server.sun_path, path);
}

static bool active(void) {
    pthread_once(&once, set_up);
    return server.sun_path[0] != '\0';
}

const char* shim_node_name(const char* path) {
    if (path == NULL || path[0] != '/' || strncmp(path, "/dev/", 5) != 0) return NULL;
    if (strncmp(path + 5, "fastrpc-", 8) != 0 && strncmp(path + 5, "dma_heap/", 9) != 0) return NULL;
    return active() ? path + 5 : NULL;
}

static int high_fd(int fd) {
    const int high = (int)SHIM_CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, first_own_fd, 0, 0, 0);
    if (high < 0) return fd;
    close_raw(fd);
    return high;
}

/* A greeted connection, or -errno. */
static int greet(uint16_t op, const char* name) {
    struct vdsp_hello hello = {.magic = vdsp_magic, .version = vdsp_version, .op = op};
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
        if (done != (long)sizeof reply) reply.error = EIO;
    } else {
        reply.error = done == -EACCES ? EACCES : ENOENT; /* no server is no node */
    }
    if (reply.error == 0) return fd;
    close_raw(fd);
    return -reply.error;
}

int shim_lookup(const char* name) {
    const int fd = greet(vdsp_op_lookup, name);
    if (fd < 0) return -fd;
    close_raw(fd);
    return 0;
}

/* The control connection. It is made with the first device, while the program may still connect. */
static int control(uint64_t* inode) {
    for (;;) {
        uint64_t link = atomic_load(&control_link);
        const int fd = (int)(link >> 40) - 1;
        if (fd >= 0 && inode_of(fd, inode, S_IFSOCK) && (*inode & inode_mask) == (link & inode_mask)) return fd;
        int fresh = greet(vdsp_op_control, "");
        if (fresh < 0) return -1;
        fresh = high_fd(fresh);
        if (!inode_of(fresh, inode, S_IFSOCK)) return -1;
        if (atomic_compare_exchange_strong(&control_link, &link, (uint64_t)(fresh + 1) << 40 | (*inode & inode_mask)))
            return fresh;
        close_raw(fresh); /* another thread was faster */
    }
}

int shim_open(const char* name, int flags) {
    uint64_t unused;
    const int fd = greet(vdsp_op_open, name);
    if (fd < 0) return fd;
    if ((flags & O_CLOEXEC) == 0) SHIM_CALL(SYS_fcntl, fd, F_SETFD, 0, 0, 0, 0);
    if (fd < device_numbers) atomic_store(&device_fds[fd], 1);
    control(&unused);
    return fd;
}

bool shim_is_device(int fd, uint64_t* inode) {
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    if (!active() || !inode_of(fd, inode, S_IFSOCK)) return false;
    for (int i = 0; i < channels_per_thread; ++i) /* known from an earlier call */
        if (state.pid != 0 && state.channels[i].fd >= 0 && state.channels[i].file == *inode) return true;
    memset(&peer, 0, sizeof peer);
    if (SHIM_CALL(SYS_getpeername, fd, &peer, &length, 0, 0, 0) != 0 || peer.sun_family != AF_UNIX ||
        strncmp(peer.sun_path, server.sun_path, sizeof peer.sun_path) != 0)
        return false;
    if (fd < device_numbers) atomic_store(&device_fds[fd], 1);
    return true;
}

static void set_up_thread(void) {
    const pid_t pid = (pid_t)SHIM_CALL(SYS_getpid, 0, 0, 0, 0, 0, 0);
    if (state.pid == pid) return;
    /* The channels of a parent are its own; fork_child() has closed our copies. */
    for (int i = 0; i < channels_per_thread; ++i) state.channels[i] = (struct channel){.fd = -1, .known = -1};
    state.pid = pid;
    state.tid = (pid_t)SHIM_CALL(SYS_gettid, 0, 0, 0, 0, 0, 0);
    pthread_setspecific(thread_key, &state);
}

static void a_moment(void) {
    static uint32_t never;
    const struct timespec millisecond = {.tv_nsec = 1000000};
    SHIM_CALL(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &millisecond, 0, 0);
}

/* sendmsg with fds; -errno on failure. */
static long send_message(int fd, struct iovec* pieces, size_t count, const int* fds, size_t fd_count) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * (vdsp_max_fds + 1))];
    } control_data;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    long done;
    if (fd_count != 0) {
        control_data.header.cmsg_level = SOL_SOCKET;
        control_data.header.cmsg_type = SCM_RIGHTS;
        control_data.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control_data.header), fds, sizeof(int) * fd_count);
        message.msg_control = &control_data;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    }
    for (;;) {
        done = SHIM_CALL(SYS_sendmsg, fd, &message, MSG_NOSIGNAL, 0, 0, 0);
        if (done == -EAGAIN)
            a_moment(); /* the program made its fd nonblocking, and the server is behind */
        else if (done != -EINTR)
            return done;
    }
}

/* A free channel of this thread to the open file, made if need be; NULL with *error set. */
static struct channel* channel_to(int device, uint64_t file, int* error) {
    struct channel* oldest = NULL;
    uint64_t inode;
    set_up_thread();
    for (int i = 0; i < channels_per_thread; ++i) {
        struct channel* channel = &state.channels[i];
        if (channel->busy) continue; /* a signal handler calls while its thread is in a call */
        if (channel->fd >= 0 && channel->file == file) {
            if (inode_of(channel->fd, &inode, S_IFSOCK) && inode == channel->inode) {
                channel->used = ++state.clock;
                return channel;
            }
            let_go(channel);
        }
        if (oldest == NULL || channel->fd < 0 || (oldest->fd >= 0 && channel->used < oldest->used)) oldest = channel;
    }
    *error = EMFILE;
    if (oldest == NULL) return NULL;
    let_go(oldest);
    int pair[2];
    const long made = SHIM_CALL(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair, 0, 0);
    *error = (int)-made;
    if (made != 0) return NULL;
    struct vdsp_hello hello = {.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_attach};
    struct iovec piece = {.iov_base = &hello, .iov_len = sizeof hello};
    pair[0] = high_fd(pair[0]);
    const long sent = send_message(device, &piece, 1, &pair[1], 1);
    close_raw(pair[1]);
    if (sent < 0 || !inode_of(pair[0], &inode, S_IFSOCK)) {
        close_raw(pair[0]);
        *error = sent == -ECONNRESET || sent == -ENOTCONN || sent >= 0 ? EPIPE : (int)-sent;
        return NULL;
    }
    struct vdsp_attached attached = {0};
    long got;
    do got = SHIM_CALL(SYS_recvfrom, pair[0], &attached, sizeof attached, 0, 0, 0);
    while (got == -EINTR);
    if (got != (long)sizeof attached || attached.magic != vdsp_magic) {
        close_raw(pair[0]);
        *error = EPIPE;
        return NULL;
    }
    *oldest = (struct channel){.file = file,
                               .inode = inode,
                               .fd = pair[0],
                               .known = -1,
                               .interface = attached.interface,
                               .used = ++state.clock};
    for (int i = 0; i < known_channels && oldest->known < 0; ++i) {
        int none = 0;
        if (atomic_compare_exchange_strong(&channels_known[i], &none, pair[0] + 1)) oldest->known = i;
    }
    return oldest;
}

/* Receives the reply; 0, EFAULT, EINTR or EPIPE. */
static int receive(int fd, struct shim_exchange* exchange) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control_data;
    size_t count = exchange->in_count;
    bool fault = false;
    for (;;) {
        exchange->in[0] = (struct iovec){.iov_base = &exchange->reply, .iov_len = sizeof exchange->reply};
        exchange->reply.magic = 0;
        memset(&control_data, 0, sizeof control_data);
        struct msghdr message = {.msg_iov = exchange->in,
                                 .msg_iovlen = count,
                                 .msg_control = &control_data,
                                 .msg_controllen = sizeof control_data};
        const long got = SHIM_CALL(SYS_recvmsg, fd, &message, exchange->receive_flags, 0, 0, 0);
        if (got == -EINTR && !exchange->interruptible) continue;
        if (got == -EINTR) return EINTR;
        if (got == -EFAULT && exchange->reply.magic != vdsp_magic && count > 1) {
            count = 1; /* an address that no memory can have: the kernel looked before it took the datagram */
            fault = true;
            continue;
        }
        if (got == -EFAULT) return exchange->reply.magic == vdsp_magic ? EFAULT : EPIPE;
        if (got < (long)sizeof exchange->reply || exchange->reply.magic != vdsp_magic) return EPIPE;
        if (message.msg_controllen >= CMSG_LEN(sizeof(int)) && control_data.header.cmsg_type == SCM_RIGHTS)
            memcpy(&exchange->received, CMSG_DATA(&control_data.header), sizeof(int));
        return fault && exchange->reply.body != 0 ? EFAULT : 0;
    }
}

static long send_request(const struct channel* channel, struct shim_exchange* exchange) {
    size_t fds_sent = 0;
    size_t body = 0;
    exchange->request.magic = vdsp_magic;
    exchange->request.version = vdsp_version;
    exchange->request.tid = state.tid;
    exchange->request.flags &= (1u << vdsp_cpu_shift) - 1;
    exchange->request.flags |= (uint32_t)(sched_getcpu() + 1) << vdsp_cpu_shift;
    exchange->request.fds = (uint32_t)exchange->fd_count;
    while (exchange->fd_count - fds_sent > vdsp_max_fds) {
        struct vdsp_request more = {.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_more_fds};
        struct iovec piece = {.iov_base = &more, .iov_len = sizeof more};
        const long sent = send_message(channel->fd, &piece, 1, exchange->fds + fds_sent, vdsp_max_fds);
        if (sent < 0) return sent;
        fds_sent += vdsp_max_fds;
    }
    for (size_t i = 1; i < exchange->out_count; ++i) body += exchange->out[i].iov_len;
    exchange->request.body = body;
    exchange->out[0] = (struct iovec){.iov_base = &exchange->request, .iov_len = sizeof exchange->request};
    return send_message(channel->fd, exchange->out, exchange->out_count, exchange->fds + fds_sent,
                        exchange->fd_count - fds_sent);
}

int shim_exchange(int device, uint64_t inode, struct shim_exchange* exchange) {
    for (int tries = 0;; ++tries) {
        int error = 0;
        struct channel* channel = channel_to(device, inode, &error);
        if (channel == NULL) return error;
        channel->busy = true;
        const long sent = send_request(channel, exchange);
        if (sent >= 0) {
            error = receive(channel->fd, exchange);
            channel->busy = false;
            /* A channel whose call was given up must end: that is how the server learns of it. */
            if (error == EINTR || error == EPIPE) let_go(channel);
            return error;
        }
        channel->busy = false;
        let_go(channel); /* it may have half a request */
        if (sent == -EFAULT) return shim_unreadable;
        if (exchange->fd_count != 0 && (sent == -EBADF || sent == -EINVAL || sent == -ETOOMANYREFS))
            return shim_unsendable;
        if (tries > 0) return sent == -ECONNRESET || sent == -ENOTCONN ? EPIPE : (int)-sent;
    }
}

int shim_close(int fd) {
    uint64_t inode;
    const bool looks =
        fd >= 0 && fd < device_numbers && atomic_load_explicit(&device_fds[fd], memory_order_relaxed) != 0;
    if (!looks || !shim_is_device(fd, &inode)) return (int)SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
    int error = 0;
    atomic_store(&device_fds[fd], 0);
    struct channel* channel = channel_to(fd, inode, &error);
    const int closed = (int)SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
    if (channel == NULL) return closed;
    struct iovec out[1];
    struct iovec in[1];
    struct shim_exchange wait = {.request = {.op = vdsp_op_wait_release},
                                 .out = out,
                                 .out_count = 1,
                                 .in = in,
                                 .in_count = 1,
                                 .received = -1,
                                 .receive_flags = MSG_CMSG_CLOEXEC};
    channel->busy = true;
    if (send_request(channel, &wait) >= 0) receive(channel->fd, &wait);
    channel->busy = false;
    let_go(channel);
    return closed;
}

int shim_vouch(int fd) {
    struct stat status;
    if (!active() || SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0 || !S_ISREG(status.st_mode) ||
        status.st_dev != memfd_device)
        return vdsp_buffer_unknown;
    _Atomic uint64_t* slot = &vouched[status.st_ino % vouched_slots];
    const uint64_t known = atomic_load(slot);
    if (known != 0 && known >> 2 == status.st_ino) return (int)(known & 3) - 1;
    uint64_t inode;
    const int connection = control(&inode);
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
