/* A program that behaves like hexagonrpcd at the system-call boundary (client-traces 5): one thread, the old handles, a
 * request buffer of 256 bytes, arguments in memory that nobody initialised, and a listener that ends at the first call
 * that it does not know.
 *
 *   hexagonrpcd -f NODE -d DSP -R ROOT [-s] [-c SHELL] [-p PROG]...
 */
#include "reverse.h"
#include "uapi.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { request_bytes = 256, most_programs = 4, setup_failed = 4 };

static int device = -1;
static struct file_service files = {.first_fd = 3, .missing = 1, .label = "file"};

/* Only pointer, length and fd are set: the attribute is whatever malloc gave. */
static struct invoke_arg* new_arguments(size_t count) {
    struct invoke_arg* arguments = malloc(count * sizeof *arguments);
    if (arguments == NULL) exit(setup_failed);
    memset(arguments, 0xA5, count * sizeof *arguments);
    return arguments;
}

static void set(struct invoke_arg* argument, const void* data, size_t length) {
    argument->ptr = (uint64_t)(uintptr_t)data;
    argument->length = length;
    argument->fd = -1;
}

static int call(uint32_t handle, uint32_t sc, struct invoke_arg* arguments) {
    struct invoke request = {handle, sc, (uint64_t)(uintptr_t)arguments};
    const int result = ioctl(device, INVOKE, &request);
    free(arguments);
    return result;
}

static void init(int error, const char* what) {
    if (error == 0) return;
    perror(what);
    exit(setup_failed);
}

static void create(const char* shell) {
    struct stat status;
    const int file = open(shell, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) init(-1, shell);
    const size_t rounded = ((size_t)status.st_size + 4095) & ~(size_t)4095;
    struct alloc_dma_buff buffer;
    memset(&buffer, 0xA5, sizeof buffer); /* fd stays so */
    buffer.flags = 0;
    buffer.size = rounded;
    init(ioctl(device, ALLOC_DMA_BUFF, &buffer), "ALLOC_DMA_BUFF");
    void* memory = mmap(NULL, rounded, PROT_WRITE, MAP_SHARED, buffer.fd, 0);
    if (memory == MAP_FAILED || read(file, memory, (size_t)status.st_size) != status.st_size) init(-1, "shell");
    struct init_create request = {
        .filelen = (uint32_t)status.st_size, .filefd = buffer.fd, .file = (uint64_t)(uintptr_t)memory};
    const int error = ioctl(device, INIT_CREATE, &request);
    const int number = errno;
    munmap(memory, rounded);
    close(buffer.fd);
    close(file);
    errno = number;
    init(error, "INIT_CREATE");
}

static pid_t start_program(const char* program) {
    char number[16];
    snprintf(number, sizeof number, "%d", device);
    const pid_t child = fork();
    if (child != 0) return child;
    setenv("HEXAGONRPC_FD", number, 1);
    execl("/usr/bin/env", "/usr/bin/env", program, (char*)NULL);
    _exit(127);
}

static int remotectl_open(const char* name, uint32_t* handle) {
    uint32_t in[2] = {(uint32_t)strlen(name) + 1, 256};
    uint32_t out[2] = {0, 0};
    char error[256];
    struct invoke_arg* arguments = new_arguments(4);
    set(&arguments[0], in, sizeof in);
    set(&arguments[1], name, in[0]);
    set(&arguments[2], out, sizeof out);
    set(&arguments[3], error, sizeof error);
    const int result = call(0, 0x00020200, arguments);
    *handle = out[0];
    return result != 0 ? result : (int)out[1];
}

static int remotectl_close(uint32_t handle) {
    uint32_t in[2] = {handle, 256};
    uint32_t out = 0;
    char error[256];
    struct invoke_arg* arguments = new_arguments(3);
    set(&arguments[0], in, sizeof in);
    set(&arguments[1], &out, sizeof out);
    set(&arguments[2], error, sizeof error);
    return call(0, 0x01010200, arguments);
}

/* localctl: handles are indices. A name that is not there is told in both places. */
static int serve_localctl(const struct reverse_call* request, uint8_t** out, int* known) {
    *known = request->method <= 1;
    if (request->method != 0) return *known ? 0 : 0x14;
    const char* name = reverse_text(request, 1);
    uint32_t answer[2] = {0, (uint32_t)-5};
    if (name != NULL && strcmp(name, "apps_std") == 0) answer[0] = 1, answer[1] = 0;
    if (name != NULL && strcmp(name, "apps_mem") == 0) answer[0] = 2, answer[1] = 0;
    if (request->outs != 0 && request->capacity[0] >= sizeof answer) memcpy(out[0], answer, sizeof answer);
    return (int)answer[1];
}

static int serve_apps_mem(const struct reverse_call* request, uint8_t** out, int* known) {
    uint64_t length;
    *known = request->method == 2 && request->in_length[0] >= 32 && request->capacity[0] >= 16;
    if (!*known || (reverse_word(request, 2) & 0x1000) == 0) return 0x14;
    memcpy(&length, request->in[0] + 24, sizeof length);
    struct mmap_pages pages = {.fd = -1, .flags = reverse_word(request, 2), .vaddrin = 0, .size = length};
    if (ioctl(device, MMAP, &pages) != 0) return 1;
    const uint64_t answer[2] = {0, (uint32_t)pages.vaddrout};
    memcpy(out[0], answer, sizeof answer);
    say("heap: %llu bytes", (unsigned long long)length);
    return 0;
}

static int serve_files(const struct reverse_call* request, uint8_t** out, int* known) {
    /* fflush is described with an input that it does not have, flen not at all. */
    *known = request->method != 2 && request->method != 10;
    return *known ? serve_apps_std(&files, request, out, known) : 0x14;
}

/* Until a call fails or is not known. */
static void listen_to_dsp(void) {
    uint8_t request_buffer[request_bytes];
    uint8_t* reply = NULL;
    size_t reply_size = 0;
    uint32_t context = 0;
    int result = -1;
    if (call(3, 0x03000000, NULL) != 0) return perror("init2");
    say("listening");
    for (;;) {
        const uint32_t in[4] = {context, (uint32_t)result, (uint32_t)reply_size, request_bytes};
        uint32_t out[4] = {0, 0, 0, 0};
        struct invoke_arg* arguments = new_arguments(4);
        set(&arguments[0], in, sizeof in);
        set(&arguments[1], reply, reply_size);
        set(&arguments[2], out, sizeof out);
        set(&arguments[3], request_buffer, sizeof request_buffer);
        const int error = call(3, 0x04020200, arguments);
        free(reply);
        if (error != 0) {
            say("next2: %#x, errno %d", (unsigned)error, error == -1 ? errno : 0);
            return;
        }
        struct reverse_call request;
        if (out[3] > request_bytes) return say("a request of %u bytes: too long", out[3]);
        if (reverse_parse(&request, out[1], out[2], request_buffer, out[3]) != 0) return say("malformed request");
        uint8_t* outputs[most_buffers];
        int known = 0;
        reply_size = reverse_reply_size(&request);
        reply = malloc(reply_size + 1);
        if (reply == NULL) return;
        reverse_lay_out(&request, reply, outputs);
        result = request.handle == 0   ? serve_localctl(&request, outputs, &known)
                 : request.handle == 1 ? serve_files(&request, outputs, &known)
                 : request.handle == 2 ? serve_apps_mem(&request, outputs, &known)
                                       : 0x14;
        if (!known) {
            free(reply);
            return say("handle %u has no method %u", request.handle, request.method);
        }
        context = out[0];
    }
}

/* The tree that is served; non-constant flags, as in its file system. */
static void open_tree(const char* root, const char* dsp) {
    static char libraries[1024];
    volatile int flags = O_RDONLY | O_DIRECTORY;
    const int directory = openat(AT_FDCWD, root, flags);
    if (directory < 0) return;
    for (int i = 0; i < 2; ++i) {
        char name[64];
        snprintf(name, sizeof name, i == 0 ? "dsp/%s" : "acdb/", dsp);
        const int below = openat(directory, name, flags);
        DIR* listing = below < 0 ? NULL : fdopendir(below);
        while (listing != NULL && readdir(listing) != NULL) {
        }
        if (listing != NULL) closedir(listing);
    }
    close(directory);
    snprintf(libraries, sizeof libraries, "%s/dsp/%s", root, dsp);
    if (access(libraries, R_OK) == 0) files.directories[0] = libraries;
}

int main(int argc, char** argv) {
    const char *node = "", *dsp = "", *root = "/nonexistent", *shell = NULL, *programs[most_programs];
    pid_t children[most_programs];
    int is_sensors = 0, count = 0, option;
    while ((option = getopt(argc, argv, "f:d:R:sc:p:")) >= 0) {
        if (option == 'f') node = optarg;
        if (option == 'd') dsp = optarg;
        if (option == 'R') root = optarg;
        if (option == 's') is_sensors = 1;
        if (option == 'c') shell = optarg;
        if (option == 'p' && count < most_programs) programs[count++] = optarg;
    }
    volatile int flags = O_RDWR;
    device = open(node, flags);
    if (device < 0) {
        perror(node);
        return setup_failed;
    }
    if (is_sensors)
        init(ioctl(device, INIT_ATTACH_SNS, NULL), "INIT_ATTACH_SNS");
    else if (shell != NULL)
        create(shell);
    else
        init(ioctl(device, INIT_ATTACH, NULL), "INIT_ATTACH");
    say("attached");
    open_tree(root, dsp);
    for (int i = 0; i < count; ++i) children[i] = start_program(programs[i]);
    uint32_t handle;
    const int error = remotectl_open("adsp_default_listener", &handle);
    if (error != 0 || call(handle, 0, NULL) != 0 || remotectl_close(handle) != 0) {
        say("cannot register: %#x", (unsigned)error);
        return setup_failed;
    }
    say("registered as %u", handle);
    listen_to_dsp();
    for (int i = 0; i < count; ++i) {
        kill(children[i], SIGTERM);
        waitpid(children[i], NULL, 0);
    }
    close(device);
    return 0;
}
