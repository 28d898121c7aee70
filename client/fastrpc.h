/* libfastrpc: run code on a Qualcomm DSP through fastrpcd, without access to its device.
 *
 *   session   one protection domain (PD) on one DSP, ours alone; lives until fastrpc_session_close or the end of the
 *             process
 *   module    a shared object that the DSP loaded from one of the session's directories
 *   buffer    memory that the program and the DSP share: large arguments go here and are never copied
 *   call      fastrpc_invoke: blocks until the DSP has answered
 *
 * Results. Functions that return int return 0 or a code: an AEE code (FASTRPC_E...) when the call did not reach its
 * end, or what the DSP answered, unchanged: 0x80000400 + an AEE code for errors raised on the DSP. `error` may be NULL;
 * else it says the same in words, and is cleared on success.
 *
 * Threads. Every function may be called from any thread at any time. A thread's calls use its own lane to the DSP, made
 * on its first call; when all lanes that the session was granted are in use, a call waits for one. Freeing an object
 * while another thread passes that same object is an error of the program, with one exception: modules and buffers
 * stay valid after their session closed, and then every call fails with FASTRPC_ECONNRESET.
 *
 * fork. The child of a fork can't use its parent's sessions: every call fails with FASTRPC_EBADSTATE. It may free them,
 * which leaves the parent's untouched, and open its own.
 *
 * Signals. Calls are not interrupted by signals.
 */
#ifndef FASTRPC_CLIENT_FASTRPC_H
#define FASTRPC_CLIENT_FASTRPC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Codes of this side (USERSPACE appendix A). */
#define FASTRPC_EFAILED 0x1
#define FASTRPC_ENOMEMORY 0x2 /* out of memory */
#define FASTRPC_EEXPIRED 0xC  /* a deadline passed before there was a session */
#define FASTRPC_EBADSTATE 0xD /* the session belongs to the parent of this process */
#define FASTRPC_EBADPARM 0xE  /* an argument is malformed; nothing was done */
#define FASTRPC_EUNSUPPORTED 0x14
#define FASTRPC_EITEMBUSY 0x20     /* a limit of the session or of the user is reached */
#define FASTRPC_ENOSUCH 0x27       /* no such module, handle, buffer, file */
#define FASTRPC_ENOSUCHDEVICE 0x43 /* this machine has no such DSP */
#define FASTRPC_EBADPERMS 0x4E     /* the policy refuses */
#define FASTRPC_ECONNRESET 0x68    /* the session is over: the text says why; open a new one */
#define FASTRPC_ECONNREFUSED 0x72  /* no fastrpcd, or the DSP is offline */
#define FASTRPC_ENOSESSION 0x8A    /* all hardware sessions of the DSP are taken */
#define FASTRPC_ERPC 0x200         /* a peer broke the protocol */

/* Bytes of inputs, and of outputs, that one call may carry without a buffer, each argument rounded up to 8. */
#define FASTRPC_MAX_INLINE 65536

/* The scalars word: method 0..30, or 31 with the method's number as the first u32 of the first input; number of input
 * and of output buffers, 0..255 each (USERSPACE 2.1). */
#define FASTRPC_SCALARS(method, in, out)                                                                               \
    ((((uint32_t)(method)&31U) << 24) | (((uint32_t)(in)&255U) << 16) | (((uint32_t)(out)&255U) << 8))

typedef struct fastrpc_session fastrpc_session;
typedef struct fastrpc_module fastrpc_module;
typedef struct fastrpc_buffer fastrpc_buffer;

typedef struct fastrpc_error {
    int code;        /* as returned */
    char name[64];   /* a D-Bus error name (org.fastrpc1.Error...), or a word: invalid, denied, not-found, no-domain,
                        offline, busy, quota, lost, timeout, unsupported, protocol, system, dsp. "dsp": the DSP answered
                        the call with `code` */
    char text[2048]; /* what, why, and how to mend it; no newline at the end */
} fastrpc_error;

/* What to ask for. Zero everything first: 0 and NULL mean "the default", and new members take the place of reserved. */
typedef struct fastrpc_open_options {
    const char* domain;             /* "adsp", "cdsp", ...; default "cdsp" */
    const char* pd;                 /* "unsigned" or "signed"; default "unsigned" */
    const char* const* directories; /* searched in this order for modules and the files that they open; opened with this
                                       process's rights and passed as fds, so fastrpcd needs no right to them */
    size_t directory_count;
    const int* directory_fds; /* more of them, already open; they stay the caller's */
    size_t directory_fd_count;
    const char* label;       /* printable ASCII, shown to people in lists; default: the program's name */
    uint32_t deadline_ms;    /* longest call, in milliseconds; a longer one ends the session. 0: as granted */
    uint32_t lanes;          /* calls at once. 0: as granted */
    uint64_t memory;         /* bytes of buffers. 0: as granted */
    const char* bus_address; /* D-Bus address; default: the system bus (DBUS_SYSTEM_BUS_ADDRESS) */
    uint64_t reserved[4];    /* 0 */
} fastrpc_open_options;

/* What was granted, and by which rule of the policy. */
typedef struct fastrpc_grant {
    const char* rule;
    const char* file;
    uint32_t line;
    uint32_t lanes;       /* calls at once */
    uint64_t memory;      /* bytes of buffers */
    uint32_t buffers;     /* number of buffers */
    uint32_t deadline_ms; /* longest call */
} fastrpc_grant;

/* Counters of a session since it opened, as its host counts them. */
typedef struct fastrpc_usage {
    uint64_t calls;
    uint64_t failed_calls;
    uint64_t bytes;         /* of arguments, in and out */
    uint64_t reverse_calls; /* from the DSP to Linux */
    uint64_t files_served;  /* files that the DSP opened */
    uint64_t bytes_served;  /* bytes that it read */
    uint64_t files_missing; /* files that it asked for and that no directory has */
    char last_missing[256]; /* the last of them, cut to fit */
    uint32_t lanes;         /* open now */
    uint32_t buffers;       /* now */
    uint64_t mapped_bytes;  /* in buffers now */
    uint32_t p50_us;        /* per call, seen by the host, microseconds; 0: no call yet */
    uint32_t p99_us;
} fastrpc_usage;

/* Asks fastrpcd for a session. Blocks until the PD runs on the DSP, at most 60 s. A refusal's text names the rule, its
 * file and line, and what would allow it. */
int fastrpc_session_open(const fastrpc_open_options* options, fastrpc_session** session, fastrpc_error* error);
/* Ends the session and every call in it; its PD on the DSP is destroyed. NULL is allowed. */
void fastrpc_session_close(fastrpc_session* session);
/* D-Bus object path, and its last part. Valid until the session closes. */
const char* fastrpc_session_path(const fastrpc_session* session);
const char* fastrpc_session_id(const fastrpc_session* session);
/* Valid until the session closes. */
const fastrpc_grant* fastrpc_session_grant(const fastrpc_session* session);
int fastrpc_session_usage(fastrpc_session* session, fastrpc_usage* usage, fastrpc_error* error);

/* Writes the URI of the interface `interface` in the shared object `library` (a file name without directory) for the
 * session's domain: "file:///libfoo_skel.so?foo_skel_handle_invoke&_modver=1.0&_dom=cdsp" (USERSPACE 1.5).
 * FASTRPC_EBADPARM when it does not fit into `size` bytes, of which 1024 are always enough, or when a name has
 * characters that a URI gives a meaning. */
int fastrpc_module_uri(const fastrpc_session* session, const char* library, const char* interface, char* uri,
                       size_t size, fastrpc_error* error);
/* Has the DSP load a module. `uri` as above, at most 1023 bytes. A module that the DSP can't load gives the DSP
 * loader's code, with its words in the error's text. */
int fastrpc_module_open(fastrpc_session* session, const char* uri, fastrpc_module** module, fastrpc_error* error);
/* Returns what the DSP says; the module is gone in any case. NULL is allowed. */
int fastrpc_module_close(fastrpc_module* module);

/* Shared memory of at least `size` bytes, zeroed, from the host of the session: no permission on a dma-heap needed. */
int fastrpc_buffer_alloc(fastrpc_session* session, size_t size, fastrpc_buffer** buffer, fastrpc_error* error);
/* Makes the first `size` bytes (0: all) of the caller's dma-buf a buffer. The fd stays the caller's. */
int fastrpc_buffer_register(fastrpc_session* session, int fd, size_t size, fastrpc_buffer** buffer,
                            fastrpc_error* error);
/* Its memory, readable and writable; NULL when a registered dma-buf can't be mapped here. */
void* fastrpc_buffer_data(const fastrpc_buffer* buffer);
/* Bytes, as asked for. */
size_t fastrpc_buffer_size(const fastrpc_buffer* buffer);
/* Its dma-buf; stays the buffer's. */
int fastrpc_buffer_fd(const fastrpc_buffer* buffer);
/* Unmaps it and gives it back; no call may still use it. The buffer is gone in any case; an error means that the
 * host's share of it lasts until the session ends. NULL is allowed. */
int fastrpc_buffer_free(fastrpc_buffer* buffer);

/* One argument: `size` bytes at `data`, copied through the session (FASTRPC_MAX_INLINE); or, with `buffer` set, `size`
 * bytes from `offset` in that buffer, which the DSP reads and writes in place, and `data` is ignored. */
typedef struct fastrpc_arg {
    void* data;
    size_t size;
    fastrpc_buffer* buffer;
    size_t offset;
} fastrpc_arg;

/* Calls a method of the module and waits for its answer. `args`: the inputs, then the outputs, `count` of them as
 * `scalars` says; handles are not supported. Returns 0, the DSP's answer, or an AEE code. Outputs are written when the
 * DSP answered, also with an error, and are untouched otherwise. No two arguments may overlap when one is an output. */
int fastrpc_invoke(fastrpc_module* module, uint32_t scalars, const fastrpc_arg* args, size_t count,
                   fastrpc_error* error);

#ifdef __cplusplus
}
#endif

#endif
