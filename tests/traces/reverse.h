/* The apps side of reverse calls: the blob of one call, and the part of apps_std that every daemon serves from
 * directories (USERSPACE 4.5, 5). */
#ifndef TRACES_REVERSE_H
#define TRACES_REVERSE_H

#include <stddef.h>
#include <stdint.h>

enum { most_buffers = 16, most_directories = 8 };

struct reverse_call {
    uint32_t handle;
    uint32_t sc;
    unsigned method;
    unsigned ins;
    unsigned outs;
    const uint8_t* in[most_buffers];
    uint32_t in_length[most_buffers];
    uint32_t capacity[most_buffers];
};

/* 0, or -1 for a blob that is none. */
int reverse_parse(struct reverse_call* call, uint32_t handle, uint32_t sc, const uint8_t* blob, size_t size);
/* Bytes of the reply. */
size_t reverse_reply_size(const struct reverse_call* call);
/* Writes the lengths of the reply into `blob`, zeroes the rest, and says where each output lies. */
void reverse_lay_out(const struct reverse_call* call, uint8_t* blob, uint8_t** out);

/* Input `index` as text, which must end in NUL; else NULL. */
const char* reverse_text(const struct reverse_call* call, unsigned index);
uint32_t reverse_word(const struct reverse_call* call, unsigned index);

struct file_service {
    const char* directories[most_directories]; /* searched in their order; NULL ends them */
    int first_fd;
    int missing;       /* result for a file that is not there */
    void* files[32];   /* FILE* or DIR* */
    const char* label; /* of the lines on stdout */
};
/* A call of apps_std; `known` says whether the service has the method at all. The result of the call. */
int serve_apps_std(struct file_service* service, const struct reverse_call* call, uint8_t** out, int* known);

/* One line on stdout, whole, at once. */
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

#endif
