#include "session.h"

#include "uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void node_path(const struct session* session, int is_secure, char* path, size_t size) {
    snprintf(path, size, "/dev/fastrpc-%s%s", session->dsp, is_secure ? "-secure" : "");
}

/* The secure node; the other one only when that is not there or not ours. */
static int open_node(const struct session* session) {
    char path[64];
    node_path(session, 1, path, sizeof path);
    const int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd >= 0 || (errno != ENOENT && errno != EACCES)) return fd;
    node_path(session, 0, path, sizeof path);
    return open(path, O_RDONLY | O_NONBLOCK);
}

static int node_exists(const struct session* session) {
    char path[64];
    struct stat status;
    for (int is_secure = 1; is_secure >= 0; --is_secure) {
        node_path(session, is_secure, path, sizeof path);
        if (stat(path, &status) == 0) return 1;
    }
    return 0;
}

void session_load(struct session* session, const char* dsp, const char* search_path) {
    static const char* const names[] = {"adsp", "mdsp", "sdsp", "cdsp"};
    memset(session, 0, sizeof *session);
    session->dsp = dsp;
    for (unsigned i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(dsp, names[i]) == 0) session->domain = i;
    session->node = session->spare = -1;
    session->files = (struct file_service){.first_fd = 100, .missing = ENOENT, .label = "file"};
    session->files.directories[0] = search_path;
    pthread_mutex_init(&session->lock, NULL);
    session->heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
    if (session->heap < 0) session->spare = open_node(session);
}

void session_unload(struct session* session) {
    if (session->heap >= 0) close(session->heap);
    if (session->spare >= 0) close(session->spare);
    pthread_mutex_destroy(&session->lock);
}

int session_wait_for_node(const struct session* session, int limit_ms) {
    if (node_exists(session)) return 0;
    const int watch = inotify_init();
    if (watch < 0 || inotify_add_watch(watch, "/dev/", IN_CREATE) < 0) return node_wait_failed;
    struct pollfd wanted = {watch, POLLIN, 0};
    int found = node_exists(session);
    while (!found && poll(&wanted, 1, limit_ms) > 0) {
        char events[4096];
        if (read(watch, events, sizeof events) < 0) break;
        found = node_exists(session);
    }
    close(watch);
    return found ? 0 : node_wait_failed;
}

int session_domain_exists(const struct session* session) {
    char path[64], name[64];
    struct stat status;
    snprintf(path, sizeof path, "/dev/subsys_%s", session->dsp);
    if (stat(path, &status) == 0) return 1;
    for (int i = 0;; ++i) {
        snprintf(path, sizeof path, "/sys/class/remoteproc/remoteproc%d/name", i);
        const int file = open(path, O_RDONLY);
        if (file < 0) return 0;
        const ssize_t got = read(file, name, sizeof name - 1);
        close(file);
        name[got > 0 ? got : 0] = '\0';
        if (strstr(name, session->dsp) != NULL) return 1;
    }
}

static int capability_of(const struct session* session, int node, uint32_t attribute, uint32_t* value) {
    struct dsp_info info = {.domain = session->domain, .attribute = attribute};
    const int error = ioctl(node, GET_DSP_INFO, &info);
    *value = info.capability;
    return error;
}

int session_capability(const struct session* session, uint32_t attribute, uint32_t* value) {
    const int node = open_node(session);
    if (node < 0) return -1;
    const int error = capability_of(session, node, attribute, value);
    close(node);
    return error;
}

struct buffer session_allocate(const struct session* session, size_t length) {
    struct buffer buffer = {NULL, length, -1};
    if (session->heap >= 0) {
        struct heap_alloc request = {.len = length, .fd_flags = O_RDWR | O_CLOEXEC};
        if (ioctl(session->heap, HEAP_ALLOC, &request) == 0) buffer.fd = (int)request.fd;
    } else {
        struct alloc_dma_buff request = {.fd = -1, .flags = 0, .size = length + 4096};
        if (ioctl(session->spare, ALLOC_DMA_BUFF, &request) == 0) buffer.fd = request.fd;
    }
    if (buffer.fd < 0) return buffer;
    void* address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd, 0);
    if (address != MAP_FAILED) {
        buffer.address = address;
        return buffer;
    }
    close(buffer.fd);
    buffer.fd = -1;
    return buffer;
}

void session_free(struct buffer* buffer) {
    if (buffer->address != NULL) munmap(buffer->address, buffer->length);
    if (buffer->fd >= 0) close(buffer->fd);
    *buffer = (struct buffer){NULL, 0, -1};
}

int session_invoke(const struct session* session, uint32_t handle, uint32_t sc, const struct argument* arguments) {
    struct invoke_arg converted[16];
    const unsigned buffers = (sc >> 16 & 255) + (sc >> 8 & 255);
    for (unsigned i = 0; i < buffers && i < 16; ++i) {
        const struct argument* one = &arguments[i];
        converted[i] = (struct invoke_arg){(uintptr_t)one->data, one->length, one->buffer ? one->buffer->fd : -1, 0};
    }
    struct invoke request = {handle, sc, (uintptr_t)converted}; /* not NULL even when there is none */
    return ioctl(session->node, INVOKE, &request);
}

/* The shell, right behind each other in one dma-buf; a missing one is the DSP's affair. */
static int create_user_pd(struct session* session) {
    struct buffer shell = {NULL, 0, -1};
    struct init_create request = {.filefd = -1, .attrs = session->is_unsigned ? 8 : 0};
    for (int below = 1; below >= 0 && !session->missing_shell && shell.address == NULL; --below) {
        char path[512];
        snprintf(path, sizeof path, "%s%s%s/fastrpc_shell_%s%u", session->shell_directory, below ? "/" : "",
                 below ? session->dsp : "", session->is_unsigned ? "unsigned_" : "", session->domain);
        FILE* file = fopen(path, "r");
        if (file == NULL) continue;
        fseek(file, 0, SEEK_END);
        shell = session_allocate(session, (size_t)ftell(file));
        rewind(file);
        if (shell.address != NULL && fread(shell.address, 1, shell.length, file) == shell.length) {
            request.filelen = (uint32_t)shell.length;
            request.filefd = shell.fd;
            request.file = (uintptr_t)shell.address;
        }
        fclose(file);
    }
    const int error = ioctl(session->node, INIT_CREATE, &request) == 0 ? 0 : errno;
    session_free(&shell);
    return error;
}

static int create_audio_pd(struct session* session) {
    static const char name[] = "audiopd";
    struct buffer word = session_allocate(session, 8);
    struct init_create_static request = {sizeof name, 3145728, (uintptr_t)name};
    const int error = ioctl(session->node, INIT_CREATE_STATIC, &request) == 0 ? 0 : errno;
    session_free(&word);
    return error;
}

static int init_pd(struct session* session) {
    if (session->kind == pd_user) return create_user_pd(session);
    if (session->kind == pd_audio) return create_audio_pd(session);
    if (ioctl(session->node, session->kind == pd_sensors ? INIT_ATTACH_SNS : INIT_ATTACH, NULL) == 0) return 0;
    return errno == ENOTTY || errno == ENXIO || errno == EINVAL ? 0 : errno;
}

/* Waits for files that never change. */
static void* watch_files(void* argument) {
    struct session* session = argument;
    const int watch = inotify_init();
    inotify_add_watch(watch, session->files.directories[0], IN_CREATE);
    struct pollfd wanted[2] = {{watch, POLLIN, 0}, {session->watcher_end, POLLIN, 0}};
    while (poll(wanted, 2, -1) > 0 && wanted[1].revents == 0) {
        char events[4096];
        if (read(watch, events, sizeof events) < 0) break;
    }
    close(watch);
    return NULL;
}

void* session_listen(void* session);
void* session_read_log(void* session);

/* Only root PDs have the log, and not that of the sensors' DSP. */
static void start_log(struct session* session) {
    struct {
        int32_t heap;
        uint32_t flags, filter, padding;
        uint64_t size;
    } in = {0, 0x80000000U, 0x10, 0, 0x40000};
    const struct argument arguments[] = {{&in, sizeof in, NULL}, {&session->log_address, 8, NULL}};
    const int result = session_invoke(session, 5, 0x04010100, arguments);
    for (int i = 0; i < most_mappings && result == 0; ++i)
        if (session->log_address == (uintptr_t)session->mappings[i].buffer.address && session->log_address != 0)
            session->log_buffer = &session->mappings[i].buffer;
    say("log: init3 %#x, %s", (unsigned)result, session->log_buffer ? "mine" : "none");
    session->has_log = session->log_buffer != NULL;
    if (session->has_log) pthread_create(&session->log_thread, NULL, session_read_log, session);
}

int session_start(struct session* session) {
    uint32_t value;
    session_capability(session, 131, &value);
    session->node = open_node(session);
    if (session->node < 0) return errno;
    const int error = init_pd(session);
    if (error != 0) {
        close(session->node);
        session->node = -1;
        return error;
    }
    say("attached");
    capability_of(session, session->node, 129, &value);
    session->stopping = session->has_log = 0;
    session->log_buffer = NULL;
    session->listener_end = eventfd(0, 0);
    session->watcher_end = eventfd(0, 0);
    session->remotectl = 8;
    pthread_create(&session->watcher_thread, NULL, watch_files, session);
    pthread_create(&session->listener_thread, NULL, session_listen, session);
    if (session->kind == pd_root && strcmp(session->dsp, "sdsp") != 0) start_log(session);
    return 0;
}

void session_stop(struct session* session) {
    __atomic_store_n(&session->stopping, 1, __ATOMIC_RELEASE);
    if (session->has_log) {
        session_invoke(session, 5, 0x03000000, NULL);
        pthread_join(session->log_thread, NULL);
    }
    const int result = session_invoke(session, 4, 0x02000000, NULL);
    say("exit: %#x", (unsigned)result);
    pthread_join(session->listener_thread, NULL);
    if (eventfd_write(session->watcher_end, 1) != 0) say("the watcher cannot be told");
    pthread_join(session->watcher_thread, NULL);
    close(session->listener_end);
    close(session->watcher_end);
    close(session->node);
    session->node = -1;
    for (int i = 0; i < most_mappings; ++i) {
        session_free(&session->mappings[i].buffer);
        session->mappings[i].dsp = 0;
    }
    say("closed");
}

int session_open(struct session* session, const char* uri, uint32_t* handle) {
    const uint32_t in[2] = {(uint32_t)strlen(uri) + 1, 255};
    uint32_t out[2];
    char error[255];
    const struct argument arguments[] = {
        {in, sizeof in, NULL}, {uri, in[0], NULL}, {out, sizeof out, NULL}, {error, sizeof error, NULL}};
    int result = -1;
    if (session->remotectl == 8) {
        result = session_invoke(session, 8, 0x02020200, arguments);
        if (result == DSP_EFAILED || result == DSP_ENOSUCHMOD) session->remotectl = 0;
    }
    if (session->remotectl == 0) result = session_invoke(session, 0, 0x00020200, arguments);
    if (result != 0 || out[1] != 0) {
        say("open: %#x, dlerr %#x %.*s", (unsigned)result, result == 0 ? out[1] : 0, result == 0 ? 255 : 0, error);
        return result != 0 ? result : (int)out[1];
    }
    *handle = out[0];
    say("open: handle %u", *handle);
    return 0;
}

int session_close_module(const struct session* session, uint32_t handle) {
    const uint32_t in[2] = {handle, 255};
    int32_t out = -1;
    char error[255];
    const struct argument arguments[] = {{in, sizeof in, NULL}, {&out, sizeof out, NULL}, {error, sizeof error, NULL}};
    const int result =
        session_invoke(session, session->remotectl, session->remotectl == 8 ? 0x03010200 : 0x01010200, arguments);
    return result != 0 ? result : out;
}

int session_register(struct session* session, int with_domain) {
    uint32_t handle = 0;
    char uri[160] = "adsp_default_listener";
    if (with_domain)
        snprintf(uri, sizeof uri,
                 "file:///libadsp_default_listener1_skel.so?adsp_default_listener1_skel_handle_invoke&_modver=1.0&"
                 "_dom=%s",
                 session->dsp);
    for (int i = with_domain; i < 2; ++i) {
        const int error = session_open(session, uri, &handle);
        if (error != 0) return error;
    }
    const int result = session_invoke(session, handle, with_domain ? 0x02000000 : 0, NULL);
    say("registered: %#x", (unsigned)result);
    return result;
}
