/* libfastrpc: run code on a Qualcomm DSP through fastrpcd, without access to its device.
 *
 *   session   one protection domain (PD) on one DSP, ours alone; lives until fastrpc_session_close or the end of the
 *             process
 *   module    a shared object that the DSP loaded from one of the session's directories
 *   buffer    memory that the program and the DSP share: large arguments go here and are never copied
 *   call      fastrpc_invoke: blocks until the DSP has answered
 *   job       a call that somebody else waits for: fastrpc_invoke_async
 *   event     what happens to the session unasked: its PD ends, others wait for its place, it is lost
 *   service   an interface of this program that the DSP calls: fastrpc_serve
 *
 * Results. Functions that return int return 0 or a code: an AEE code (FASTRPC_E...) when the call did not reach its
 * end, or what the DSP answered, unchanged: 0x80000400 + an AEE code for errors raised on the DSP. `error` may be NULL;
 * else it says the same in words, and is cleared on success.
 *
 * Threads. Every function may be called from any thread at any time. A thread's calls use its own lane to the DSP, made
 * on its first call; when all lanes that the session was granted are in use, a call waits for one. Freeing an object
 * while another thread passes that same object is an error of the program, with one exception: modules, buffers, jobs
 * and services stay valid after their session closed, and then every call fails with FASTRPC_ECONNRESET. The library
 * has threads of its own only while a session has jobs or services; signals are blocked in them.
 *
 * fork. The child of a fork can't use its parent's sessions: every call fails with FASTRPC_EBADSTATE. It may free them,
 * which leaves the parent's untouched, and open its own.
 *
 * Signals. Calls are not interrupted by signals.
 *
 * libfastrpc(3) says the same at more leisure.
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
#define FASTRPC_EEXPIRED 0xC  /* a deadline passed before there was a session, an event or a result */
#define FASTRPC_EBADSTATE 0xD /* the session belongs to the parent of this process, or: not from this callback */
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

/* Bytes of inputs, and of outputs, that one call carries in its message, each argument rounded up to 8. What is above
 * it costs a copy more: fastrpc_invoke. */
#define FASTRPC_MAX_INLINE 65536

/* The scalars word: method 0..30, or 31 with the method's number as the first u32 of the first input; number of input
 * and of output buffers, 0..255 each, and of input and output handles, 0..15 each (USERSPACE 2.1). */
#define FASTRPC_SCALARS(method, in, out)                                                                               \
    ((((uint32_t)(method)&31U) << 24) | (((uint32_t)(in)&255U) << 16) | (((uint32_t)(out)&255U) << 8))
#define FASTRPC_SCALARS_HANDLES(method, in, out, in_handles, out_handles)                                              \
    (FASTRPC_SCALARS(method, in, out) | (((uint32_t)(in_handles)&15U) << 4) | ((uint32_t)(out_handles)&15U))

/* Why a session is over. */
#define FASTRPC_LOST_UNKNOWN 0        /* its host ended without a word */
#define FASTRPC_LOST_DSP_RESTART 1    /* or the DSP's node went away */
#define FASTRPC_LOST_PD_EXCEPTION 2   /* the PD crashed */
#define FASTRPC_LOST_PD_EXIT 3        /* the PD ended by itself */
#define FASTRPC_LOST_TIMEOUT 4        /* a call took longer than its deadline */
#define FASTRPC_LOST_TERMINATED 5     /* by an administrator, or over D-Bus */
#define FASTRPC_LOST_POLICY_CHANGED 6 /* what was granted would not be granted any more */
#define FASTRPC_LOST_RECLAIMED 7      /* it was idle while others waited */
#define FASTRPC_LOST_PROTOCOL 8       /* this program broke the protocol */
#define FASTRPC_LOST_HOST_STOPPED 9   /* the host was told to stop */

/* fastrpc_event: types, and what happens to a PD. */
#define FASTRPC_EVENT_PD 1    /* the PD: `status` and `generation` */
#define FASTRPC_EVENT_LEAVE 2 /* others wait for this idle session's place: close it, or call within `grace_ms` */
#define FASTRPC_EVENT_LOST 3  /* the session is over: `reason`; the last event */
#define FASTRPC_PD_UP 0
#define FASTRPC_PD_EXIT 1
#define FASTRPC_PD_FORCE_KILL 2
#define FASTRPC_PD_EXCEPTION 3
#define FASTRPC_PD_DSP_RESTART 4

/* fastrpc_buffer_map: how the DSP gets to know a buffer beside calls (KERNEL 1.5). */
#define FASTRPC_MAP_FIXED 0
#define FASTRPC_MAP_FD 2
#define FASTRPC_MAP_FD_DELAYED 3
#define FASTRPC_MAP_FD_NOMAP 16

/* fastrpc_buffer_begin, fastrpc_buffer_end: what the program does with the memory. */
#define FASTRPC_READ 1U
#define FASTRPC_WRITE 2U

typedef struct fastrpc_session fastrpc_session;
typedef struct fastrpc_module fastrpc_module;
typedef struct fastrpc_buffer fastrpc_buffer;
typedef struct fastrpc_job fastrpc_job;
typedef struct fastrpc_service fastrpc_service;

typedef struct fastrpc_error {
    int code;        /* as returned */
    char name[64];   /* a D-Bus error name (org.fastrpc1.Error...), or a word: invalid, denied, not-found, no-domain,
                        offline, busy, quota, lost, timeout, unsupported, protocol, system, dsp. "dsp": the DSP answered
                        the call with `code` */
    char text[2048]; /* what, why, and how to mend it; no newline at the end */
} fastrpc_error;

/* The file of a module, which the DSP gets instead of one that lies in a directory: a memory file (memfd_create) that
 * is sealed with F_SEAL_WRITE, F_SEAL_SHRINK and F_SEAL_GROW, so that the policy can judge its SHA-256. */
typedef struct fastrpc_module_file {
    const char* name; /* e.g. "libcalculator_skel.so" */
    int fd;           /* stays the caller's */
} fastrpc_module_file;

/* What to ask for. Zero everything first: 0 and NULL mean "the default", and new members take the place of reserved. */
typedef struct fastrpc_open_options {
    const char* domain;             /* "adsp", "cdsp", ...; default "cdsp" */
    const char* pd;                 /* "unsigned" or "signed"; default "unsigned" */
    const char* const* directories; /* searched in this order for modules and the files that they open; opened with this
                                       process's rights and passed as fds, so fastrpcd needs no right to them. No more
                                       than the policy's rule gives ("directories"), and at most 8 with the next */
    size_t directory_count;
    const int* directory_fds; /* more of them, already open; they stay the caller's */
    size_t directory_fd_count;
    const char* label;       /* printable ASCII, shown to people in lists; default: the program's name */
    uint32_t deadline_ms;    /* longest call, in milliseconds; a longer one ends the session. 0: as granted */
    uint32_t lanes;          /* calls at once. 0: as granted */
    uint64_t memory;         /* bytes of buffers. 0: as granted */
    const char* bus_address; /* D-Bus address; default: the system bus (DBUS_SYSTEM_BUS_ADDRESS) */
    uint32_t wait_ms;        /* how long to queue for a DSP whose hardware sessions are all taken. 0: not at all,
                                unless the environment has FASTRPC_WAIT_MS */
    uint32_t priority;    /* of the DSP threads that serve the calls, 1 most urgent .. 255. 0: the firmware's choice */
    uint32_t stack;       /* bytes of stack of those threads. 0: the firmware's choice */
    uint32_t reserved[5]; /* 0 */
    /* File names of the modules that the PD may load, at most 32 with those of module_files. Then it loads no others of
     * this program's, and directories have the files of these names alone, data included. None: any. */
    const char* const* modules;
    size_t module_count;
    const fastrpc_module_file* module_files; /* at most 8, of 64 MiB in all */
    size_t module_file_count;
    const char* const* attributes; /* of the PD, as policies name them, e.g. "debug"; none: as granted */
    size_t attribute_count;
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

/* Asks fastrpcd for a session. Blocks until the PD runs on the DSP, at most `wait_ms` + 180 s, of which two minutes are
 * for a person, where the rule that decides has one asked (polkit). A fastrpcd that goes away before it has answered is
 * replaced by the next one, within the same time; nothing is opened twice. A refusal's text names the rule, its file
 * and line, and what would allow it. */
int fastrpc_session_open(const fastrpc_open_options* options, fastrpc_session** session, fastrpc_error* error);
/* Ends the session and every call in it; its PD on the DSP is destroyed. Every job is completed, its callback called,
 * and every handler has returned before this does. NULL is allowed. From a callback or handler of the same session it
 * does nothing and returns FASTRPC_EBADSTATE: the session is still there. */
int fastrpc_session_close(fastrpc_session* session);
/* D-Bus object path, and its last part. Valid until the session closes. */
const char* fastrpc_session_path(const fastrpc_session* session);
const char* fastrpc_session_id(const fastrpc_session* session);
/* Valid until the session closes. */
const fastrpc_grant* fastrpc_session_grant(const fastrpc_session* session);
int fastrpc_session_usage(fastrpc_session* session, fastrpc_usage* usage, fastrpc_error* error);

/* One event; the same layout in 32-bit and 64-bit programs. */
typedef struct fastrpc_event {
    uint32_t type;       /* FASTRPC_EVENT_... */
    uint32_t status;     /* of FASTRPC_EVENT_PD: FASTRPC_PD_... */
    uint32_t reason;     /* of FASTRPC_EVENT_LOST: FASTRPC_LOST_... */
    uint32_t grace_ms;   /* of FASTRPC_EVENT_LEAVE */
    uint64_t generation; /* of FASTRPC_EVENT_PD: counts the starts of the PD */
    char text[512];      /* why, for people */
} fastrpc_event;

/* A fd that polls readable (POLLIN) when fastrpc_session_next_event has something to say. It stays the session's: poll
 * it, nothing else. Events of the time before the first of these two calls are not kept, but for the PD's being up and
 * the session's end. */
int fastrpc_session_events(fastrpc_session* session, int* fd, fastrpc_error* error);
/* Waits at most `timeout_ms` (0: not at all, -1: for ever) for the next event. FASTRPC_EEXPIRED: there was none. After
 * FASTRPC_EVENT_LOST it fails with FASTRPC_ECONNRESET. Of several threads that wait, one gets the event. */
int fastrpc_session_next_event(fastrpc_session* session, int timeout_ms, fastrpc_event* event, fastrpc_error* error);
/* FASTRPC_LOST_... of a session that is over, as far as its host has said by now; -1 while it is not. */
int fastrpc_session_lost_reason(fastrpc_session* session);

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

/* Makes the first `length` bytes (0: all) of the buffer known to the DSP until fastrpc_buffer_unmap or the end of the
 * session; FASTRPC_MAP_... says how. `dsp_address` may be NULL; 0 where the DSP gives none. A buffer is mapped at most
 * once, and has to be unmapped before it is freed. */
int fastrpc_buffer_map(fastrpc_buffer* buffer, uint32_t mode, size_t length, uint64_t* dsp_address,
                       fastrpc_error* error);
int fastrpc_buffer_unmap(fastrpc_buffer* buffer, fastrpc_error* error);

/* Bracket the program's own use of a buffer's memory, where caches are not coherent with the DSP's (dma-buf's rule);
 * elsewhere they do nothing. `access`: FASTRPC_READ, FASTRPC_WRITE or both; the same for both functions. No call that
 * uses the buffer may be under way in between. */
int fastrpc_buffer_begin(fastrpc_buffer* buffer, uint32_t access, fastrpc_error* error);
int fastrpc_buffer_end(fastrpc_buffer* buffer, uint32_t access, fastrpc_error* error);

/* One argument: `size` bytes at `data`, copied through the session; or, with `buffer` set, `size` bytes from `offset`
 * in that buffer, which the DSP reads and writes in place, and `data` is ignored. Less than 4 GiB - 4096. A handle is
 * an argument with a buffer: the DSP gets the buffer itself, with `offset` and `size`, both below 4 GiB. */
typedef struct fastrpc_arg {
    void* data;
    size_t size;
    fastrpc_buffer* buffer;
    size_t offset;
} fastrpc_arg;

/* Calls a method of the module and waits for its answer. `args`: the inputs, the outputs, the input handles and the
 * output handles, `count` of them as `scalars` says, at most 540. Returns 0, the DSP's answer, or an AEE code. Outputs
 * are written when the DSP answered, also with an error, and are untouched otherwise. No two arguments may overlap when
 * one is an output.
 *
 * Arguments without a buffer may have any size. When the inputs, or the outputs, are more than FASTRPC_MAX_INLINE
 * together, the largest of them go through a buffer of the library's, until the rest is not: a copy each way, and
 * memory of the session's grant. There is one such buffer per call in flight at most; its size is the next power of two
 * from 128 KiB on. It is kept for later calls while all that idle make up no more than a quarter of the granted memory,
 * and is given back when a later such call finds it unused for 10 s, and when the memory is wanted otherwise. */
int fastrpc_invoke(fastrpc_module* module, uint32_t scalars, const fastrpc_arg* args, size_t count,
                   fastrpc_error* error);

/* Says the end of a job, from a thread of the library's: one per session, which does nothing else. `result` and `error`
 * are what fastrpc_invoke would have given; `error` is valid until the callback returns. It may call any function but
 * fastrpc_session_close of its own session. While it runs, no other callback of the session does. */
typedef void (*fastrpc_callback)(void* context, int result, const fastrpc_error* error);

/* fastrpc_invoke, without waiting. As many jobs are under way at once as the session has lanes; others start in the
 * order of these calls. What `args` points at belongs to the call until the job is complete, as with aio(7): don't free
 * it, don't write to it, don't read outputs; the array itself is copied. Each job completes exactly once; with
 * FASTRPC_ECONNRESET when the session ends before. `callback` may be NULL, and so may be `job` when `callback` is not.
 * On failure nothing was started and the callback is not called. */
int fastrpc_invoke_async(fastrpc_module* module, uint32_t scalars, const fastrpc_arg* args, size_t count,
                         fastrpc_callback callback, void* context, fastrpc_job** job, fastrpc_error* error);
/* A fd that polls readable (POLLIN) from the job's completion on. It stays the job's: poll it, nothing else. */
int fastrpc_job_fd(fastrpc_job* job, int* fd, fastrpc_error* error);
/* Waits at most `timeout_ms` (0: not at all, -1: for ever) for the job. 0: it is complete, and `result` (may be NULL)
 * and `error` say what fastrpc_invoke would have. FASTRPC_EEXPIRED: it is not. */
int fastrpc_job_wait(fastrpc_job* job, int timeout_ms, int* result, fastrpc_error* error);
/* Forgets the job. A call can't be cancelled, so this waits until it is complete and its callback has returned; in a
 * callback of its session it does not wait for other callbacks. NULL is allowed. */
int fastrpc_job_free(fastrpc_job* job);

/* A call from the DSP. Inputs and outputs are in this program's memory until the handler returns (their `buffer` is
 * NULL); the outputs are zeros, to be filled. */
typedef struct fastrpc_reverse_call {
    uint32_t method;
    uint32_t time_ms; /* the DSP waits so long; a later answer is dropped and the interface no longer served */
    const fastrpc_arg* inputs;
    size_t input_count;
    const fastrpc_arg* outputs;
    size_t output_count;
} fastrpc_reverse_call;

/* Returns 0, or an AEE code for the DSP, which then gets no outputs. May call any function but fastrpc_session_close of
 * its session and fastrpc_serve_stop of its service. */
typedef int (*fastrpc_handler)(const fastrpc_reverse_call* call, void* context);

/* Serves the interface `name` (1 to 127 bytes) to this session's DSP code: its calls come one at a time, on a thread of
 * this service. The DSP stands still meanwhile: be quick. At most 8 services per session. */
int fastrpc_serve(fastrpc_session* session, const char* name, fastrpc_handler handler, void* context,
                  fastrpc_service** service, fastrpc_error* error);
/* No more calls; a handler that runs has returned. 0; or FASTRPC_ECONNRESET: the host had ended the service before,
 * with the session or after a late answer; or FASTRPC_ERPC: the host broke the protocol. The service is gone, but for
 * FASTRPC_EBADSTATE: called from its own handler. NULL is allowed. */
int fastrpc_serve_stop(fastrpc_service* service);

#ifdef __cplusplus
}
#endif

#endif
