/* The threads of a session: the listener with its growing dma-buf buffers, and the reader of the log. */
#include "session.h"
#include "uapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

void* session_listen(void* argument);
void* session_read_log(void* argument);

enum { page = 4096, success = 0, bad_parameter = 0xE, unsupported = 0x14, no_such_module = 0x3E, no_such_map = 0x48 };

/* Handles of interfaces: addresses, cut to 32 bits. */
static const char interfaces[3][16] = {"localctl", "apps_std", "apps_mem"};
static uint32_t handle_of(int index) {
    return (uint32_t)(uintptr_t)interfaces[index];
}

static int serve_localctl(const struct reverse_call* call, uint8_t** out) {
    if (call->method == 1) return success;
    const char* name = reverse_text(call, 1);
    if (call->method != 0 || name == NULL || call->outs != 2 || call->capacity[0] < 8) return bad_parameter;
    char text[300];
    /* dlopen comes first, and its text stays though the static table has the name. */
    snprintf(text, sizeof text, "lib%s_skel.so: cannot open shared object file", name);
    uint32_t answer[2] = {0, 0x2C};
    for (int i = 1; i < 3; ++i)
        if (strcmp(name, interfaces[i]) == 0) answer[0] = handle_of(i), answer[1] = 0;
    memcpy(out[0], answer, sizeof answer);
    snprintf((char*)out[1], call->capacity[1], "%s", text);
    return success;
}

static int map_pages(struct session* session, uint64_t length, uint64_t answer[2]) {
    struct mmap_pages request = {.fd = -1, .flags = 0x1000, .vaddrin = 0, .size = length};
    if (ioctl(session->node, MMAP, &request) != 0) return errno;
    answer[1] = request.vaddrout;
    say("heap: %llu bytes", (unsigned long long)length);
    return success;
}

static int map_buffer(struct session* session, uint64_t length, uint32_t flags, uint64_t answer[2]) {
    struct buffer buffer = session_allocate(session, length);
    if (buffer.address == NULL) return 2;
    struct mem_map request = {.fd = buffer.fd, .flags = flags, .vaddrin = (uintptr_t)buffer.address, .length = length};
    const int error = ioctl(session->node, MEM_MAP, &request);
    if (error != 0) {
        say("MEM_MAP: %#x, errno %d", (unsigned)error, errno);
        session_free(&buffer);
        return error == -1 ? errno : error;
    }
    answer[0] = (uintptr_t)buffer.address;
    answer[1] = request.vaddrout;
    pthread_mutex_lock(&session->lock);
    for (int i = 0; i < most_mappings; ++i) {
        if (session->mappings[i].dsp != 0) continue;
        session->mappings[i].buffer = buffer;
        session->mappings[i].dsp = request.vaddrout;
        break;
    }
    pthread_mutex_unlock(&session->lock);
    say("mapped: %llu bytes", (unsigned long long)length);
    return success;
}

static int unmap(struct session* session, uint64_t address, uint64_t length) {
    for (int i = 0; i < most_mappings; ++i) {
        struct mapping* mapping = &session->mappings[i];
        if (mapping->dsp != address || mapping->buffer.length != length) continue;
        struct mem_unmap request = {.fd = mapping->buffer.fd, .vaddr = address, .length = length};
        if (ioctl(session->node, MEM_UNMAP, &request) != 0) return errno;
        session_free(&mapping->buffer);
        mapping->dsp = 0;
        say("unmapped: %llu bytes", (unsigned long long)length);
        return success;
    }
    return no_such_map;
}

static int serve_apps_mem(struct session* session, const struct reverse_call* call, uint8_t** out) {
    uint64_t words[4] = {0, 0, 0, 0}, answer[2] = {0, 0};
    if (call->ins != 1) return bad_parameter;
    memcpy(words, call->in[0], call->in_length[0] < sizeof words ? call->in_length[0] : sizeof words);
    if (call->method == 3) return unmap(session, words[0], words[1]);
    if (call->method != 2) return unsupported;
    if (call->in_length[0] < 32 || call->outs != 1 || call->capacity[0] < 16) return bad_parameter;
    const uint32_t flags = (uint32_t)words[1];
    const int result =
        flags == 0x1000 ? map_pages(session, words[3], answer) : map_buffer(session, words[3], flags, answer);
    memcpy(out[0], answer, sizeof answer);
    return result;
}

static int serve(struct session* session, const struct reverse_call* call, uint8_t** out) {
    int known;
    if (call->handle == 0) return serve_localctl(call, out);
    if (call->handle == handle_of(1)) return serve_apps_std(&session->files, call, out, &known);
    if (call->handle == handle_of(2)) return serve_apps_mem(session, call, out);
    return no_such_module;
}

struct turn {
    uint32_t context;
    int result;
    size_t reply; /* bytes, or the whole buffer right after it grew */
    struct buffer request_buffer, reply_buffer;
};

static int next2(struct session* session, const struct turn* turn, uint32_t out[4]) {
    const uint32_t in[4] = {turn->context, (uint32_t)turn->result, (uint32_t)turn->reply,
                            (uint32_t)turn->request_buffer.length};
    const struct argument arguments[] = {
        {in, sizeof in, NULL},
        {turn->reply_buffer.address, turn->reply, turn->reply_buffer.address ? &turn->reply_buffer : NULL},
        {out, 16, NULL},
        {turn->request_buffer.address, turn->request_buffer.length,
         turn->request_buffer.address ? &turn->request_buffer : NULL}};
    return session_invoke(session, session->listener, session->listener == 7 ? 0x06020200 : 0x04020200, arguments);
}

/* Grows to whole pages; the first `kept` bytes stay. 1 when it grew. */
static int grow(struct session* session, struct buffer* buffer, size_t needed, size_t kept) {
    if (needed <= buffer->length) return 0;
    struct buffer larger = session_allocate(session, (needed + page - 1) & ~(size_t)(page - 1));
    if (larger.address == NULL) {
        say("no memory for the listener");
        _exit(98);
    }
    if (kept != 0) memcpy(larger.address, buffer->address, kept);
    session_free(buffer);
    *buffer = larger;
    return 1;
}

static int get_rest(struct session* session, struct turn* turn, uint32_t context, size_t needed) {
    const size_t had = turn->request_buffer.length;
    if (!grow(session, &turn->request_buffer, needed, had)) return success;
    const uint32_t in[3] = {context, (uint32_t)had, (uint32_t)(turn->request_buffer.length - had)};
    uint32_t out = 0;
    const struct argument arguments[] = {{in, sizeof in, NULL},
                                         {&out, sizeof out, NULL},
                                         {(char*)turn->request_buffer.address + had, in[2], &turn->request_buffer}};
    const int error =
        session_invoke(session, session->listener, session->listener == 7 ? 0x07010200 : 0x05010200, arguments);
    return error != 0 ? error : out <= turn->request_buffer.length ? success : -1;
}

static void take_turn(struct session* session, struct turn* turn, const uint32_t out[4]) {
    struct reverse_call call;
    uint8_t* outputs[most_buffers];
    turn->context = out[0];
    turn->reply = 0;
    turn->result = bad_parameter;
    if (reverse_parse(&call, out[1], out[2], turn->request_buffer.address, out[3]) != 0) return;
    const size_t size = reverse_reply_size(&call);
    const int grew = grow(session, &turn->reply_buffer, size, 0);
    if (turn->reply_buffer.address != NULL) reverse_lay_out(&call, turn->reply_buffer.address, outputs);
    turn->result = serve(session, &call, outputs);
    if (turn->result == success) turn->reply = grew ? turn->reply_buffer.length : size;
}

static int start_listener(struct session* session) {
    session->listener = 7;
    if (session->set_threads) {
        const uint32_t in[2] = {1, 2}, parameters[2] = {0x8e, 0x4000};
        const struct argument arguments[] = {{in, sizeof in, NULL}, {parameters, sizeof parameters, NULL}};
        session_invoke(session, 8, 0x05020000, arguments);
    }
    int error = session_invoke(session, 7, 0x05000000, NULL);
    if (error == 0) return 0;
    session->listener = 3;
    /* Any other error: straight into the loop on the old handle, without its init2. */
    if (error != DSP_ERPC && error != DSP_ENOSUCHMOD) return 0;
    error = session_invoke(session, 3, 0x03000000, NULL);
    return error;
}

void* session_listen(void* argument) {
    struct session* session = argument;
    struct turn turn = {0, -1, 0, {NULL, 0, -1}, {NULL, 0, -1}};
    int error = start_listener(session);
    say("listening on %u: %#x", session->listener, (unsigned)error);
    while (error == 0) {
        uint32_t out[4] = {0, 0, 0, 0};
        error = next2(session, &turn, out);
        if (error != 0 && error != DSP_EBADSTATE) { /* once more, with the error as its answer */
            say("next2: %#x, errno %d", (unsigned)error, error == -1 ? errno : 0);
            turn.result = error;
            turn.reply = 0;
            error = next2(session, &turn, out);
        }
        if (error == 0) error = get_rest(session, &turn, out[0], out[3]);
        if (error == 0) take_turn(session, &turn, out);
    }
    session->listener_result = error;
    say("the listener ends: %#x, errno %d", (unsigned)error, error == -1 ? errno : 0);
    session_invoke(session, 4, 0x03000000, NULL);
    session_free(&turn.request_buffer);
    session_free(&turn.reply_buffer);
    if (eventfd_write(session->listener_end, 0xFF) != 0) say("nobody can be told");
    return NULL;
}

void* session_read_log(void* argument) {
    struct session* session = argument;
    const volatile uint8_t* ring = session->log_buffer->address;
    const size_t capacity = session->log_buffer->length - 4;
    size_t at = 0;
    while (!__atomic_load_n(&session->stopping, __ATOMIC_ACQUIRE)) {
        const uint32_t end = __atomic_load_n((const uint32_t*)(uintptr_t)(ring + capacity), __ATOMIC_ACQUIRE);
        if (at == end) {
            uint64_t available = 0;
            const struct argument arguments[] = {{&available, sizeof available, NULL}};
            /* The result is not looked at; a refused call would make a busy loop. */
            const int result = session_invoke(session, 5, 0x05000100, arguments);
            say("log: wait %#x, %llu bytes", (unsigned)result, (unsigned long long)available);
            if (result != 0) usleep(1000);
            continue;
        }
        char line[257];
        size_t length = 0;
        for (; at != end && ring[at] == 0; at = (at + 1) % capacity) {
        }
        for (; at != end && ring[at] != 0 && length < 256; at = (at + 1) % capacity) line[length++] = (char)ring[at];
        line[length] = '\0';
        if (length != 0) say("log: %s", line);
    }
    return NULL;
}
