#include "reverse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say(const char* format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(99);
}

static size_t align8(size_t at) {
    return (at + 7) & ~(size_t)7;
}

int reverse_parse(struct reverse_call* call, uint32_t handle, uint32_t sc, const uint8_t* blob, size_t size) {
    size_t at = 0;
    *call = (struct reverse_call){.handle = handle, .sc = sc, .method = sc >> 24 & 31};
    call->ins = sc >> 16 & 255;
    call->outs = sc >> 8 & 255;
    if (call->ins > most_buffers || call->outs > most_buffers || (sc & 255) != 0) return -1;
    for (unsigned i = 0; i < call->ins + call->outs; ++i) {
        uint32_t length;
        if (size < sizeof length || at > size - sizeof length) return -1;
        memcpy(&length, blob + at, sizeof length);
        at += sizeof length;
        if (i >= call->ins) {
            call->capacity[i - call->ins] = length;
            continue;
        }
        if (length != 0) at = align8(at);
        if (at > size || length > size - at) return -1;
        call->in[i] = blob + at;
        call->in_length[i] = length;
        at += length;
    }
    return 0;
}

size_t reverse_reply_size(const struct reverse_call* call) {
    size_t at = 0;
    for (unsigned i = 0; i < call->outs; ++i) {
        at += sizeof(uint32_t);
        if (call->capacity[i] != 0) at = align8(at) + call->capacity[i];
    }
    return at;
}

void reverse_lay_out(const struct reverse_call* call, uint8_t* blob, uint8_t** out) {
    size_t at = 0;
    memset(blob, 0, reverse_reply_size(call));
    for (unsigned i = 0; i < call->outs; ++i) {
        memcpy(blob + at, &call->capacity[i], sizeof(uint32_t));
        at += sizeof(uint32_t);
        if (call->capacity[i] != 0) at = align8(at);
        out[i] = blob + at;
        at += call->capacity[i];
    }
}

const char* reverse_text(const struct reverse_call* call, unsigned index) {
    const uint32_t length = index < call->ins ? call->in_length[index] : 0;
    if (length == 0 || call->in[index][length - 1] != '\0') return NULL;
    return (const char*)call->in[index];
}

uint32_t reverse_word(const struct reverse_call* call, unsigned index) {
    uint32_t word = 0;
    if (call->ins != 0 && call->in_length[0] >= (index + 1) * sizeof word)
        memcpy(&word, call->in[0] + index * sizeof word, sizeof word);
    return word;
}

static int open_with_env(struct file_service* service, const struct reverse_call* call, uint8_t** out) {
    const char* name = reverse_text(call, 3);
    const char* mode = reverse_text(call, 4);
    if (name == NULL || mode == NULL || mode[0] != 'r' || call->capacity[0] < 4) return EINVAL;
    for (int slot = 0; slot < (int)(sizeof service->files / sizeof *service->files); ++slot) {
        if (service->files[slot] != NULL) continue;
        for (int i = 0; i < most_directories && service->directories[i] != NULL; ++i) {
            char path[1024];
            snprintf(path, sizeof path, "%s/%s", service->directories[i], name);
            service->files[slot] = fopen(path, mode);
            if (service->files[slot] == NULL) continue;
            const int32_t fd = service->first_fd + slot;
            memcpy(out[0], &fd, sizeof fd);
            say("%s: opened %s", service->label, name);
            return 0;
        }
        say("%s: missing %s", service->label, name);
        return service->missing;
    }
    return EMFILE;
}

int serve_apps_std(struct file_service* service, const struct reverse_call* call, uint8_t** out, int* known) {
    enum { fclose_method = 3, fread_method = 4, fseek_method = 9, flen_method = 10, fopen_with_env_method = 19 };
    *known = 1;
    if (call->method == fopen_with_env_method) return open_with_env(service, call, out);
    const int slot = (int)reverse_word(call, 0) - service->first_fd;
    const int is_slot = slot >= 0 && slot < (int)(sizeof service->files / sizeof *service->files);
    FILE* file = is_slot ? service->files[slot] : NULL;
    switch (call->method) {
    case fclose_method:
        if (file == NULL) return EBADF;
        service->files[slot] = NULL;
        return fclose(file) == 0 ? 0 : errno;
    case fread_method: {
        if (file == NULL || call->outs != 2 || call->capacity[0] < 8) return EBADF;
        const uint32_t got = (uint32_t)fread(out[1], 1, call->capacity[1], file);
        const uint32_t answer[2] = {got, feof(file) != 0};
        memcpy(out[0], answer, sizeof answer);
        return 0;
    }
    case fseek_method:
        if (file == NULL) return EBADF;
        return fseek(file, (int32_t)reverse_word(call, 1), (int)reverse_word(call, 2)) == 0 ? 0 : errno;
    case flen_method: {
        if (file == NULL || call->capacity[0] < 8) return EBADF;
        const long at = ftell(file);
        if (at < 0 || fseek(file, 0, SEEK_END) != 0) return errno;
        const uint64_t length = (uint64_t)ftell(file);
        if (fseek(file, at, SEEK_SET) != 0) return errno;
        memcpy(out[0], &length, sizeof length);
        return 0;
    }
    default:
        *known = 0;
        return 0x14;
    }
}
