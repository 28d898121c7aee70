/* The inside of the preload shim: makes virtual device nodes and dma-bufs out of sockets and memfds (protocol.h).
 *
 * It lives in foreign programs, so: plain C, raw system calls on the way of a call (no cancellation points, nothing of
 * other preloads), no allocation, no lock across a call, own fds high up and close-on-exec. What libc must do itself
 * (streams, directories, blocking reads) goes to the next definition. Under a seccomp filter it needs sendmsg, recvmsg,
 * fstat, getpeername, socketpair, setsockopt, fcntl, close, gettid, futex, mmap, munmap, read, write, memfd_create,
 * rt_sigaction, rt_sigprocmask, once a device is open; a warm call needs sendmsg, recvmsg and fstat alone.
 */
#ifndef FASTRPC_VDSP_SHIM_H
#define FASTRPC_VDSP_SHIM_H

#include <stdatomic.h>
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

#define SHIM_EXPORT __attribute__((visibility("default")))

#pragma GCC visibility push(hidden)

/* system.c: how the shim reaches the system. */

/* Raw system calls; -errno on failure. */
long shim_syscall(long number, long a, long b, long c, long d, long e, long f);
#define SHIM_CALL(number, a, b, c, d, e, f)                                                                            \
    shim_syscall((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* As libc returns it: `result`, or -1 and errno. */
int shim_back(long result);
int shim_failed(int error);
/* The definition of `name` that comes after ours, kept in *found; ends the program when there is none. */
void* shim_next(const char* name, _Atomic(void*)* found);
/* An expression: the next definition of the function `name`, as a pointer of its type. */
#define SHIM_NEXT(name)                                                                                                \
    (__extension__({                                                                                                   \
        static _Atomic(void*) found_;                                                                                  \
        (__typeof__(&name))shim_next(#name, &found_);                                                                  \
    }))
void shim_close_raw(int fd);
/* False when `fd` is none of the type (S_IFSOCK, S_IFDIR, ...). */
bool shim_inode(int fd, uint64_t* inode, mode_t type);
/* A copy of `fd` high up, where programs do not count; `fd` is closed, or returned when there is no room. */
int shim_high_fd(int fd);

/* server.c: the server, the connections to it. */

/* Is the program meant to see the virtual SoC? */
bool shim_active(void);
/* Of the server's socket; the directory is its path with ".d". */
const char* shim_server_path(void);
/* 0 or an errno. */
int shim_lookup(const char* name);
/* The new device fd, or -errno. `name` is below /dev. */
int shim_open(const char* name, int flags);
/* The control connection, or -1. */
int shim_control(uint64_t* inode);
/* st_dev of all memfds. */
uint64_t shim_memfds(void);
/* May `fd` be a device, as far as this process has seen? Costs nothing; for what is no business of most fds. */
bool shim_maybe_device(int fd);
void shim_maybe_set(int fd, bool device);

/* device.c: which fds are whose. */

/* Is `fd` a connection to the server? *inode then names the open file. */
bool shim_is_device(int fd, uint64_t* inode);
/* vdsp_buffer_* of `fd`. */
int shim_vouch(int fd);
/* Closes `fd`; of a device it returns when the driver's release is over, as the kernel's close does. */
int shim_close(int fd);

/* paths.c: which paths are the virtual SoC's. */

enum shim_place {
    shim_elsewhere, /* the machine's own */
    shim_node,      /* a device node: text is its name below /dev */
    shim_inside,    /* text is the path in the server's directory */
    shim_no_path,   /* of the virtual SoC, and longer than a path can be */
};
struct shim_where {
    enum shim_place place;
    const char* path; /* what to give to libc: the caller's, or text */
    char text[4096];
};
enum shim_place shim_locate(int directory, const char* path, struct shim_where* where);
/* Is it /dev itself? The server's directory then has what it should list besides. */
bool shim_is_dev(const char* path);
/* Puts the path of `inside` ("/dev/accel") in the server's directory into where->text. */
void shim_lead(const char* inside, struct shim_where* where);
/* What the program calls a path in the server's directory, in place; other paths stay. */
void shim_unlead(char* path);
/* Keeps in mind that `fd` is a directory of nodes: paths relative to it may be nodes. */
void shim_note_directory(int fd);
/* Is `fd` /dev or one of the directories of nodes below? Its name below /dev ("", "accel") or NULL. */
const char* shim_noted_directory(int fd);

/* link.c: the calling thread's channels. */

/* Closes a device; returns when the driver's release is over. */
int shim_hang_up(int device, uint64_t inode);
/* enum vdsp_interface of the open file, or -errno. */
int shim_interface(int device, uint64_t inode);
/* Has the thread a channel to it? Then it is a device. */
bool shim_file_known(uint64_t file);
/* Those fds are about to go away under us, for the program closes or replaces them. */
void shim_forget_fds(unsigned first, unsigned last);

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
/* 0 when a reply came; EFAULT: it came and could not be stored whole; EINTR and ERESTART: a signal ended the wait, and
 * the call must be given up or made again; shim_unreadable: the request's data cannot be read and nothing was sent;
 * shim_unsendable: one of the fds cannot; else an errno. */
enum { shim_unreadable = -1, shim_unsendable = -2 };
int shim_exchange(int device, uint64_t inode, struct shim_exchange* exchange);

/* signals.c: what a signal does to a wait (KERNEL 1.14). */

/* Do some signals restart a system call and others end it? Then shim_wait() must tell them apart. */
bool shim_signals_differ(void);
/* Waits until `fd` is readable: 0; or until a handler has run or a stop is over: EINTR or ERESTART. */
int shim_wait(int fd);
/* The same decision for a wait that a signal has ended already: EINTR or ERESTART. */
int shim_interrupted(void);

/* call.c; misc.c, accel.c, invoke.c: the ioctls of each driver */

/* The ioctl of a device; errno set when -1. */
int shim_ioctl(int device, uint64_t inode, unsigned code, void* argument);
int shim_misc_ioctl(int device, uint64_t inode, unsigned code, void* argument);
int shim_accel_ioctl(int device, uint64_t inode, int interface, unsigned code, void* argument);
/* The memfd behind an accel node's mmap offset, or -errno. */
int shim_accel_map(int device, uint64_t inode, uint64_t offset, uint64_t length);
int shim_invoke(int device, uint64_t inode, int interface, void* argument);

/* exchange.c */

/* As shim_exchange, with fds that may be bad: what the caller gave wrong is for the driver to refuse in its order. The
 * last own_fds of `fds` are ours. */
int shim_exchange_fds(int device, uint64_t inode, struct shim_exchange* exchange, struct vdsp_argument* arguments,
                      size_t count, int* fds, size_t own_fds);
/* The result for the program, errno set when -1. */
int shim_give(const struct vdsp_reply* reply);

/* memory.c: which mapping an address lies in. */

void shim_mapped(void* address, size_t length, bool whole_buffer);
void shim_unmapped(const void* address, size_t length);
/* Of what may have been joined with its neighbours. */
void shim_remapped(const void* address, size_t length);
/* Start of the mapping that holds `address`, else of the next one above; VDSP_NO_VMA: none. */
uint64_t shim_vma_start(uint64_t address);
/* Can the bytes be read? A page that goes away meanwhile is the caller's fault. */
bool shim_readable(uint64_t address, size_t length);
/* Can they be written? */
bool shim_writable(uint64_t address, size_t length);

#pragma GCC visibility pop

#endif
