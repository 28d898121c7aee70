/* The calling thread's private channels to open files, and the requests on them. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

enum {
    channels_per_thread = 8,
    known_channels = 1024, /* of all threads */
    page = 4096,
};

/* A channel of the calling thread. */
struct channel {
    uint64_t file; /* inode of the device fd */
    uint64_t tag;  /* tag_of() fd */
    int fd;        /* -1: free */
    int known;     /* index into known, or -1 */
    int interface;
    bool busy;
    unsigned used;
};

struct thread_state {
    uint64_t generation; /* 0: not set up; another one: we are a fork's child */
    pid_t tid;
    unsigned clock;
    struct channel channels[channels_per_thread];
};
static __thread struct thread_state state __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_key;

/* Tags of our fds: a fork's child lets go of them all, for a channel must end with its caller; and who closes one of
 * those fds under us takes its tag away. */
static _Atomic uint64_t known[known_channels];
static _Atomic int lowest_own_fd = INT32_MAX;
static const uint64_t inode_mask = ((uint64_t)1 << 40) - 1;

/* No fork between the birth of fds and their tags. */
static pthread_mutex_t births = PTHREAD_MUTEX_INITIALIZER;

/* A child finds its page wiped, however it was made; what shares our memory is no child. */
static _Atomic uint64_t generation = 1;
static _Atomic uint64_t* mark = &generation;

static uint64_t tag_of(int fd, uint64_t inode) {
    return (uint64_t)(fd + 1) << 40 | (inode & inode_mask);
}

static bool is_still(int fd, uint64_t tag) {
    uint64_t inode;
    return shim_inode(fd, &inode, S_IFSOCK) && tag_of(fd, inode) == tag;
}

static int remember(int fd, uint64_t tag) {
    int lowest = atomic_load(&lowest_own_fd);
    while (fd < lowest && !atomic_compare_exchange_weak(&lowest_own_fd, &lowest, fd)) {
    }
    for (int i = 0; i < known_channels; ++i) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&known[i], &none, tag)) return i;
    }
    return -1;
}

static void close_known(int fd, uint64_t tag, int index) {
    if (index >= 0 && !atomic_compare_exchange_strong(&known[index], &tag, 0)) return; /* the program took it */
    if (is_still(fd, tag)) shim_close_raw(fd);
}

static void let_go(struct channel* channel) {
    if (channel->fd >= 0) close_known(channel->fd, channel->tag, channel->known);
    channel->fd = -1;
}

void shim_forget_fds(unsigned first, unsigned last) {
    const int lowest = atomic_load_explicit(&lowest_own_fd, memory_order_relaxed);
    if (lowest == INT32_MAX || last < (unsigned)lowest) return;
    for (int i = 0; i < known_channels; ++i) {
        uint64_t tag = atomic_load_explicit(&known[i], memory_order_relaxed);
        if (tag != 0 && (tag >> 40) - 1 >= first && (tag >> 40) - 1 <= last)
            atomic_compare_exchange_strong(&known[i], &tag, 0);
    }
}

static void thread_ends(void* unused) {
    (void)unused;
    for (int i = 0; i < channels_per_thread; ++i) let_go(&state.channels[i]);
}

static void fork_prepare(void) {
    pthread_mutex_lock(&births);
}

static void fork_parent(void) {
    pthread_mutex_unlock(&births);
}

static void start_generation(void) {
    for (int i = 0; i < known_channels; ++i) {
        const uint64_t tag = atomic_exchange(&known[i], 0);
        if (tag != 0 && is_still((int)(tag >> 40) - 1, tag)) shim_close_raw((int)(tag >> 40) - 1);
    }
    const uint64_t next = atomic_fetch_add(&generation, 1) + 1;
    atomic_store(mark, next);
}

static void fork_child(void) {
    pthread_mutex_unlock(&births);
    start_generation();
}

__attribute__((constructor)) static void set_up(void) {
    if (!shim_active()) return;
    const long memory = SHIM_CALL(SYS_mmap, 0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory > 0 && SHIM_CALL(SYS_madvise, memory, page, MADV_WIPEONFORK, 0, 0, 0) == 0) {
        *(_Atomic uint64_t*)memory = atomic_load(&generation);
        mark = (_Atomic uint64_t*)memory;
    }
    pthread_key_create(&thread_key, thread_ends);
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void set_up_thread(void) {
    if (atomic_load_explicit(mark, memory_order_relaxed) != atomic_load_explicit(&generation, memory_order_relaxed))
        start_generation(); /* a child that fork() knows nothing of */
    const uint64_t now = atomic_load_explicit(&generation, memory_order_relaxed);
    if (state.generation == now) return;
    for (int i = 0; i < channels_per_thread; ++i) state.channels[i] = (struct channel){.fd = -1, .known = -1};
    state.generation = now;
    state.tid = (pid_t)SHIM_CALL(SYS_gettid, 0, 0, 0, 0, 0, 0);
    pthread_setspecific(thread_key, &state);
}

bool shim_file_known(uint64_t file) {
    if (state.generation == 0) return false;
    for (int i = 0; i < channels_per_thread; ++i)
        if (state.channels[i].fd >= 0 && state.channels[i].file == file) return true;
    return false;
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

/* The two ends of a new channel, ours high up; 0 or an errno. */
static int give_birth(struct channel* channel, int* other, uint64_t* other_tag, int* other_known) {
    const uint64_t all = ~(uint64_t)0;
    const struct timeval for_ever = {.tv_sec = 1 << 30}; /* with any limit, an interrupted wait never restarts unseen */
    uint64_t mask;
    uint64_t inode = 0;
    uint64_t other_inode = 0;
    int pair[2];
    SHIM_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask, 0, 0); /* a handler may call, too */
    pthread_mutex_lock(&births);
    const long made = SHIM_CALL(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair, 0, 0);
    if (made == 0) {
        pair[0] = shim_high_fd(pair[0]);
        shim_inode(pair[0], &inode, S_IFSOCK);
        shim_inode(pair[1], &other_inode, S_IFSOCK);
        channel->fd = pair[0];
        channel->tag = tag_of(pair[0], inode);
        channel->known = remember(pair[0], channel->tag);
        *other = pair[1];
        *other_tag = tag_of(pair[1], other_inode);
        *other_known = remember(pair[1], *other_tag);
    }
    pthread_mutex_unlock(&births);
    SHIM_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof mask, 0, 0);
    if (made == 0) SHIM_CALL(SYS_setsockopt, pair[0], SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever, 0);
    return (int)-made;
}

/* Attaches a channel to the open file; 0 or an errno. */
static int attach(struct channel* channel, int device, uint64_t file) {
    struct vdsp_hello hello = {.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_attach};
    struct vdsp_attached attached = {0};
    struct iovec piece = {.iov_base = &hello, .iov_len = sizeof hello};
    struct channel fresh = {.file = file, .fd = -1, .known = -1};
    uint64_t other_tag = 0;
    int other = -1;
    int other_known = -1;
    long got = 0;
    const int error = give_birth(&fresh, &other, &other_tag, &other_known);
    if (error != 0) return error;
    const long sent = send_message(device, &piece, 1, &other, 1);
    close_known(other, other_tag, other_known);
    if (sent >= 0) {
        do got = SHIM_CALL(SYS_recvfrom, fresh.fd, &attached, sizeof attached, 0, 0, 0);
        while (got == -EINTR);
    }
    if (got != (long)sizeof attached || attached.magic != vdsp_magic) {
        let_go(&fresh);
        return sent >= 0 || sent == -ECONNRESET || sent == -ENOTCONN ? EPIPE : (int)-sent;
    }
    fresh.interface = (int)attached.interface;
    fresh.used = ++state.clock;
    *channel = fresh;
    return 0;
}

/* A free channel of this thread to the open file, made if need be, in `spare` when all are in calls that signal
 * handlers interrupted; NULL with *error set. */
static struct channel* channel_to(int device, uint64_t file, struct channel* spare, int* error) {
    struct channel* oldest = spare;
    spare->fd = -1;
    set_up_thread();
    for (int i = 0; i < channels_per_thread; ++i) {
        struct channel* channel = &state.channels[i];
        if (channel->busy) continue; /* a signal handler calls while its thread is in a call */
        if (channel->fd >= 0 && channel->file == file) {
            if (channel->known >= 0 ? atomic_load_explicit(&known[channel->known], memory_order_relaxed) == channel->tag
                                    : is_still(channel->fd, channel->tag)) {
                channel->used = ++state.clock;
                return channel;
            }
            let_go(channel);
        }
        if (oldest == spare || channel->fd < 0 || (oldest->fd >= 0 && channel->used < oldest->used)) oldest = channel;
    }
    let_go(oldest);
    *error = attach(oldest, device, file);
    return *error == 0 ? oldest : NULL;
}

static void done_with(struct channel* channel, const struct channel* spare, bool keep) {
    channel->busy = false;
    if (!keep || channel == spare) let_go(channel);
}

int shim_interface(int device, uint64_t file) {
    struct channel spare;
    int error = 0;
    struct channel* channel = channel_to(device, file, &spare, &error);
    if (channel == NULL) return -error;
    const int interface = channel->interface;
    done_with(channel, &spare, true);
    return interface;
}

/* Receives the reply; 0, EFAULT, EINTR, ERESTART or EPIPE. */
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
        const int interrupted = exchange->interruptible && shim_signals_differ() ? shim_wait(fd) : 0;
        if (interrupted != 0) return interrupted;
        const long got = SHIM_CALL(SYS_recvmsg, fd, &message, exchange->receive_flags, 0, 0, 0);
        if (got == -EAGAIN || (got == -EINTR && !exchange->interruptible)) continue;
        if (got == -EINTR) return shim_interrupted();
        if (got == -EFAULT && exchange->reply.magic != vdsp_magic && count > 1) {
            --count; /* an address that no memory can have: the kernel looked before it took the datagram */
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
        struct channel spare;
        int error = 0;
        struct channel* channel = channel_to(device, inode, &spare, &error);
        if (channel == NULL) return error;
        channel->busy = true;
        const long sent = send_request(channel, exchange);
        if (sent >= 0) {
            error = receive(channel->fd, exchange);
            /* A channel whose call was given up must end: that is how the server learns of it. */
            done_with(channel, &spare, error != EINTR && error != ERESTART && error != EPIPE);
            return error;
        }
        const bool alive = is_still(channel->fd, channel->tag);
        done_with(channel, &spare, false); /* it may have half a request */
        if (sent == -EFAULT) return shim_unreadable;
        if (alive && exchange->fd_count != 0 && (sent == -EBADF || sent == -EINVAL || sent == -ETOOMANYREFS))
            return shim_unsendable;
        if (tries > 0) return sent == -ECONNRESET || sent == -ENOTCONN ? EPIPE : (int)-sent;
    }
}

/* The driver's release runs as the thread that closed last, and only we know who that is. */
static void announce_close(int device) {
    const struct vdsp_hello hello = {
        .magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_closing, .tid = state.tid};
    SHIM_CALL(SYS_sendto, device, &hello, sizeof hello, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
}

int shim_hang_up(int device, uint64_t file) {
    struct channel spare;
    int error = 0;
    struct channel* channel = channel_to(device, file, &spare, &error);
    announce_close(device);
    const int closed = (int)SHIM_CALL(SYS_close, device, 0, 0, 0, 0, 0);
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
    done_with(channel, &spare, false);
    return closed;
}
