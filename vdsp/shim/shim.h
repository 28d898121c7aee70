/* The inside of the preload shim: makes virtual device nodes and dma-bufs out of sockets and memfds (protocol.h).
 *
 * It lives in foreign programs, so: plain C, raw system calls only (no cancellation points, nothing of other preloads),
 * no allocation, no lock across a call, own fds high up and close-on-exec. Under a seccomp filter it needs sendmsg,
 * recvmsg, fstat, getpeername, socketpair, fcntl, close, getpid, gettid, futex, mmap, munmap, read, write,
 * memfd_create, once a device is open.
 */
#ifndef FASTRPC_VDSP_SHIM_H
#define FASTRPC_VDSP_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "protocol.h"

#if !defined(__LP64__)
#error "the shim knows the struct layouts of 64-bit programs alone"
#endif

#pragma GCC visibility push(hidden)

/* link.c: the server and the calling thread's channels. */

/* Name below /dev of a virtual node, or NULL: not ours. */
const char* shim_node_name(const char* path);
/* 0 or an errno. */
int shim_lookup(const char* name);
/* The new device fd, or -errno. */
int shim_open(const char* name, int flags);
/* Closes `fd`; of a device it returns when the driver's release is over, as the kernel's close does. */
int shim_close(int fd);
/* Is `fd` a connection to the server? *inode then names the open file. */
bool shim_is_device(int fd, uint64_t* inode);
/* vdsp_buffer_* of `fd`. */
int shim_vouch(int fd);

/* One request on the calling thread's channel to the open file. */
struct shim_exchange {
    struct vdsp_request request; /* op, code, flags; the rest is filled in */
    struct iovec* out;           /* out[0] is left free for the request */
    size_t out_count;
    const int* fds;
    size_t fd_count;
    struct vdsp_reply reply;
    struct iovec* in; /* in[0] is left free for the reply */
    size_t in_count;
    int received;       /* fd that came with the reply, or -1 */
    int receive_flags;  /* MSG_CMSG_CLOEXEC or 0 */
    bool interruptible; /* a signal gives the call up */
};
/* 0 when a reply came; EFAULT: it came and could not be stored whole; shim_unreadable: the request's data cannot be
 * read and nothing was sent; shim_unsendable: one of the fds cannot; else an errno. */
enum { shim_unreadable = -1, shim_unsendable = -2 };
int shim_exchange(int device, uint64_t inode, struct shim_exchange* exchange);

/* call.c */

/* The ioctl of a device; errno set when -1. */
int shim_ioctl(int device, uint64_t inode, unsigned code, void* argument);

/* memory.c: which mapping an address lies in. */

void shim_mapped(void* address, size_t length, bool whole_buffer);
void shim_unmapped(const void* address, size_t length);
/* Start of the mapping that holds `address`, else of the next one above; VDSP_NO_VMA: none. */
uint64_t shim_vma_start(uint64_t address);
/* Can the bytes be read? A page that goes away meanwhile is the caller's fault. */
bool shim_readable(uint64_t address, size_t length);

/* Raw system calls; -errno on failure. */
long shim_syscall(long number, long a, long b, long c, long d, long e, long f);
#define SHIM_CALL(number, a, b, c, d, e, f)                                                                            \
    shim_syscall((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#pragma GCC visibility pop

#endif
