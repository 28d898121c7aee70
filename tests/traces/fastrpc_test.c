/* A program that behaves like fastrpc_test, a client with a user PD of its own, at the system-call boundary
 * (client-traces 5).
 *
 *   fastrpc_test [--signed] [--missing-shell] [--threads] [--stay] SHELLS MODULES
 *
 * SHELLS and MODULES are directories. --threads calls from several threads, --stay keeps the session until it is
 * killed.
 */
#include "session.h"
#include "uapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { refused = 1, numbers = 1000, callers = 4, rounds = 50 };

static struct session session;
static const char module_uri[] = "file:///libtraces_skel.so?traces_skel_handle_invoke&_modver=1.0&_dom=cdsp";

static void expect(int is_so, const char* what) {
    if (is_so) return;
    say("wrong: %s", what);
    exit(3);
}

static int64_t sum(uint32_t module, const struct buffer* values) {
    const int32_t count = numbers;
    int64_t total = -1;
    const struct argument arguments[] = {
        {&count, sizeof count, NULL}, {values->address, values->length, values}, {&total, sizeof total, NULL}};
    expect(session_invoke(&session, module, 0x02020100, arguments) == 0, "sum fails");
    return total;
}

static void calculate(uint32_t module) {
    struct buffer values = session_allocate(&session, numbers * sizeof(int32_t));
    int32_t* value = values.address;
    const int32_t count = numbers;
    int32_t largest = -1;
    expect(value != NULL, "no buffer");
    for (int i = 0; i < numbers; ++i) value[i] = i;
    expect(sum(module, &values) == 499500, "sum");
    uint32_t second;
    expect(session_open(&session, module_uri, &second) == 0 && second != module, "second open");
    const struct argument arguments[] = {
        {&count, sizeof count, NULL}, {values.address, values.length, &values}, {&largest, sizeof largest, NULL}};
    expect(session_invoke(&session, second, 0x03020100, arguments) == 0 && largest == 999, "max");
    expect(session_close_module(&session, second) == 0, "close");
    session_free(&values);
    say("calculated");
}

/* Maps by hand, a handle argument whose pointer is an offset, and the ways back. */
static void map_buffers(uint32_t module) {
    struct buffer buffer = session_allocate(&session, 8192);
    const struct argument word[] = {{&buffer.length, 4, NULL}};
    for (int i = 0; i < 2; ++i) expect(session_invoke(&session, module, 0x04010000, word) == 0, "a word");
    struct mem_map map = {.fd = buffer.fd, .flags = 2, .vaddrin = (uintptr_t)buffer.address, .length = buffer.length};
    expect(ioctl(session.node, MEM_MAP, &map) == 0 && map.vaddrout != 0, "MEM_MAP");
    const uint32_t pair[2] = {(uint32_t)buffer.fd, (uint32_t)buffer.length};
    const struct argument description[] = {{pair, sizeof pair, NULL}};
    expect(session_invoke(&session, module, 0x07010000, description) == 0, "fd and size");
    struct invoke_arg handle = {.ptr = 0, .length = 4096, .fd = buffer.fd, .attr = 256};
    struct invoke request = {module, 0x05000010, (uintptr_t)&handle};
    expect(ioctl(session.node, INVOKE, &request) == 0, "handle argument");
    struct mem_unmap unmap = {.fd = buffer.fd, .vaddr = map.vaddrout, .length = buffer.length};
    expect(ioctl(session.node, MEM_UNMAP, &unmap) == 0, "MEM_UNMAP");
    expect(session_invoke(&session, module, 0x0a000000, NULL) == 0, "last word");
    session_free(&buffer);
    say("mapped and unmapped");
}

static void* caller(void* argument) {
    const uint32_t module = *(const uint32_t*)argument;
    struct buffer values = session_allocate(&session, numbers * sizeof(int32_t));
    int32_t* value = values.address;
    for (int i = 0; i < numbers; ++i) value[i] = 3;
    for (int i = 0; i < rounds; ++i) expect(sum(module, &values) == 3 * numbers, "a thread's sum");
    session_free(&values);
    return NULL;
}

static void call_from_threads(uint32_t module) {
    pthread_t threads[callers];
    for (int i = 0; i < callers; ++i) expect(pthread_create(&threads[i], NULL, caller, &module) == 0, "a thread");
    for (int i = 0; i < callers; ++i) pthread_join(threads[i], NULL);
    say("called from threads");
}

int main(int argc, char** argv) {
    int is_signed = 0, missing_shell = 0, threads = 0, stay = 0, at = 1;
    for (; at < argc && argv[at][0] == '-'; ++at) {
        is_signed |= strcmp(argv[at], "--signed") == 0;
        missing_shell |= strcmp(argv[at], "--missing-shell") == 0;
        threads |= strcmp(argv[at], "--threads") == 0;
        stay |= strcmp(argv[at], "--stay") == 0;
    }
    if (argc - at != 2) return 2;
    session_load(&session, "cdsp", argv[at + 1]);
    session.kind = pd_user;
    session.is_unsigned = !is_signed;
    session.missing_shell = missing_shell;
    session.set_threads = threads;
    session.shell_directory = argv[at];
    uint32_t supported = 0;
    session_domain_exists(&session);
    const int asked = session_capability(&session, 1, &supported);
    say("unsigned PDs: %d, asked %d", (int)supported, asked);
    session_capability(&session, 10, &supported);
    const int error = session_start(&session);
    if (error != 0) {
        say("no PD: %s", strerror(error));
        session_unload(&session);
        return refused;
    }
    uint32_t module;
    if (session_open(&session, module_uri, &module) != 0) return refused;
    calculate(module);
    map_buffers(module);
    if (threads) call_from_threads(module);
    if (stay) {
        say("staying");
        struct buffer values = session_allocate(&session, 4);
        const struct argument forever[] = {{values.address, 4, &values}};
        const int result = session_invoke(&session, module, 0x0b010000, forever); /* blocks on the DSP */
        say("came back: %#x", (unsigned)result);
    }
    session_stop(&session); /* the last handle is not closed */
    session_unload(&session);
    say("done");
    return 0;
}
