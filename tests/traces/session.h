/* A session with one PD, as libXdsprpc of qualcomm/fastrpc has it at the system-call boundary (client-traces 5): node
 * and heap, capability probes, PD, listener thread with dma-buf buffers, log reader, module handles, the end. */
#ifndef TRACES_SESSION_H
#define TRACES_SESSION_H

#include "reverse.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    void* address;
    size_t length; /* as asked for */
    int fd;
};

struct argument {
    const void* data;
    size_t length;
    const struct buffer* buffer; /* data lies in it; NULL: ordinary memory */
};

enum pd_kind { pd_root, pd_guest_shared, pd_sensors, pd_audio, pd_user };
enum { most_mappings = 32, node_wait_failed = 0x72 };

struct session {
    const char* dsp;
    unsigned domain;
    enum pd_kind kind;
    int heap;  /* or -1 */
    int spare; /* node for ALLOC_DMA_BUFF when there is no heap, or -1 */
    int node;
    int is_unsigned;
    int missing_shell;
    int set_threads;
    const char* shell_directory;
    struct file_service files;

    uint32_t listener;  /* handle 7 or 3 */
    uint32_t remotectl; /* handle 8 or 0 */
    int listener_end;   /* eventfd: 0xFF when the listener is over */
    int listener_result;
    int watcher_end; /* eventfd */
    int has_log;
    int stopping;
    uint64_t log_address;
    struct buffer* log_buffer;
    pthread_t listener_thread, watcher_thread, log_thread;
    struct mapping {
        struct buffer buffer;
        uint64_t dsp;
    } mappings[most_mappings];
    pthread_mutex_t lock; /* guards mappings */
};

/* The constructor of the library: the heap, or a spare node. */
void session_load(struct session* session, const char* dsp, const char* search_path);
void session_unload(struct session* session);
/* Waits for a node below /dev; 0 or node_wait_failed. */
int session_wait_for_node(const struct session* session, int limit_ms);
/* What DOMAIN_SUPPORT does: no ioctl at all. */
int session_domain_exists(const struct session* session);
/* On an open of its own; -1 when the device refuses. */
int session_capability(const struct session* session, uint32_t attribute, uint32_t* value);

/* Node, PD, threads. 0, or an errno of the init. */
int session_start(struct session* session);
/* exit, the threads' end, close. */
void session_stop(struct session* session);

struct buffer session_allocate(const struct session* session, size_t length);
void session_free(struct buffer* buffer);
int session_invoke(const struct session* session, uint32_t handle, uint32_t sc, const struct argument* arguments);
/* 0, or the code of the call or of the loader. */
int session_open(struct session* session, const char* uri, uint32_t* handle);
int session_close_module(const struct session* session, uint32_t handle);
/* Registers the process for calls of DSP threads without a listener: the bare name twice, or the URI once. */
int session_register(struct session* session, int with_domain);

#endif
