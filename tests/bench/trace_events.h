/* What the tracing library (trace.c) writes and Trace (trace.hpp) reads: a file mapped by all programs of a system.
 *
 * Times are CLOCK_MONOTONIC, nanoseconds, which all processes of a machine share. */
#ifndef FASTRPC_BENCH_TRACE_EVENTS_H
#define FASTRPC_BENCH_TRACE_EVENTS_H

#include <stdint.h>

#define BENCH_TRACE_FILE "FASTRPC_BENCH_TRACE" /* environment: path of the file */

enum bench_trace_kind {
    bench_trace_start = 1, /* the program was loaded */
    bench_trace_mark,      /* it said so: detail is its number */
    bench_trace_send,      /* sendmsg: detail is its result */
    bench_trace_receive,   /* recvmsg: detail is its result */
    bench_trace_connect,
    bench_trace_ioctl, /* detail is the request */
    bench_trace_wait,  /* on a futex */
    bench_trace_wake,  /* of a futex */
    bench_trace_read,  /* of an fd: detail is its result */
    bench_trace_write, /* to an fd: detail is its result */
};

/* Of a call that returned. */
struct bench_trace_event {
    uint64_t begin, end;
    uint32_t process, thread;
    uint32_t kind, detail;
};

struct bench_trace_table {
    uint64_t used; /* may be more than there is room for: those are lost */
    uint64_t room;
    struct bench_trace_event events[];
};

/* Marks that programs set by themselves: bench_trace_set_mark(), a weak symbol that is there under the library. */
enum {
    bench_mark_call = 1,  /* a call begins */
    bench_mark_called,    /* a call ended */
    bench_mark_open,      /* the program is about to open a session */
    bench_mark_opened,    /* it has one */
    bench_mark_loaded,    /* and a module */
    bench_mark_first_call /* which has answered */
};

#endif
