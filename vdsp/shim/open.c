/* What opens and closes files: open and its kin, streams, close and what closes along the way. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_at(int directory, const char* path, int flags, mode_t mode) {
    struct shim_where where;
    switch (shim_locate(directory, path, &where)) {
    case shim_node:
        return shim_back(shim_open(where.text, flags));
    case shim_no_path:
        return shim_back(-ENAMETOOLONG);
    case shim_inside: {
        const int fd = (int)SHIM_CALL(SYS_openat, AT_FDCWD, where.path, flags & ~O_CREAT, 0, 0, 0);
        if (fd >= 0) shim_note_directory(fd);
        return shim_back(fd);
    }
    case shim_elsewhere:
        break;
    }
    const int fd = (int)SHIM_CALL(SYS_openat, directory, path, flags, mode, 0, 0);
    if (fd >= 0 && path[0] == '/' && shim_is_dev(path)) shim_note_directory(fd);
    return shim_back(fd);
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name, parameters, directory)                                                                              \
    SHIM_EXPORT int name parameters {                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        const mode_t mode = mode_of(flags, arguments);                                                                 \
        va_end(arguments);                                                                                             \
        return open_at(directory, path, flags, mode);                                                                  \
    }
OPEN(open, (const char* path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char* path, int flags, ...), AT_FDCWD)
OPEN(openat, (int directory, const char* path, int flags, ...), directory)
OPEN(openat64, (int directory, const char* path, int flags, ...), directory)

int __open_2(const char* path, int flags);
int __open64_2(const char* path, int flags);
int __openat_2(int directory, const char* path, int flags);
int __openat64_2(int directory, const char* path, int flags);
SHIM_EXPORT int __open_2(const char* path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
SHIM_EXPORT int __open64_2(const char* path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
SHIM_EXPORT int __openat_2(int directory, const char* path, int flags) {
    return open_at(directory, path, flags, 0);
}
SHIM_EXPORT int __openat64_2(int directory, const char* path, int flags) {
    return open_at(directory, path, flags, 0);
}
SHIM_EXPORT int creat(const char* path, mode_t mode) {
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
SHIM_EXPORT int creat64(const char* path, mode_t mode) {
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* Streams. libc opens their files without asking us. */

/* The flags of a node that is opened as a stream; what is read or written matters to nobody. */
static int stream_flags(const char* mode) {
    return (strchr(mode, '+') != NULL ? O_RDWR
            : mode[0] == 'r'          ? O_RDONLY
                                      : O_WRONLY) |
           (strchr(mode, 'e') != NULL ? O_CLOEXEC : 0);
}

static FILE* node_stream(const char* name, const char* mode) {
    const int fd = shim_back(shim_open(name, stream_flags(mode)));
    if (fd < 0) return NULL;
    FILE* stream = fdopen(fd, mode);
    if (stream == NULL) shim_close(fd);
    return stream;
}

#define STREAM(name)                                                                                                   \
    SHIM_EXPORT FILE* name(const char* restrict path, const char* restrict mode) {                                     \
        struct shim_where where;                                                                                       \
        if (shim_locate(AT_FDCWD, path, &where) == shim_node) return node_stream(where.text, mode);                    \
        return SHIM_NEXT(name)(where.path, mode);                                                                      \
    }
STREAM(fopen)
STREAM(fopen64)

/* A node takes the stream's place through a path that leads to the fd. */
#define RESTREAM(name)                                                                                                 \
    SHIM_EXPORT FILE* name(const char* restrict path, const char* restrict mode, FILE* restrict stream) {              \
        struct shim_where where;                                                                                       \
        if (shim_locate(AT_FDCWD, path, &where) != shim_node) return SHIM_NEXT(name)(where.path, mode, stream);        \
        const int fd = shim_back(shim_open(where.text, stream_flags(mode)));                                           \
        FILE* again = SHIM_NEXT(name)("/dev/null", mode, stream);                                                      \
        if (again == NULL || fd < 0 || dup3(fd, fileno(again), stream_flags(mode) & O_CLOEXEC) < 0) again = NULL;      \
        if (fd >= 0) shim_close(fd);                                                                                   \
        return again;                                                                                                  \
    }
RESTREAM(freopen)
RESTREAM(freopen64)

/* close, and what closes along the way */

SHIM_EXPORT int close(int fd) {
    return shim_back(shim_close(fd));
}

/* Devices wait for their release as in close(). */
static void leave_range(unsigned first, unsigned last) {
    uint64_t inode;
    shim_forget_fds(first, last);
    for (unsigned fd = first; fd <= last && fd <= 4096; ++fd)
        if (shim_maybe_device((int)fd) && shim_is_device((int)fd, &inode)) shim_close((int)fd);
}

SHIM_EXPORT int close_range(unsigned first, unsigned last, int flags) {
    enum { on_exec = 4 };
    if (first <= last && (flags & on_exec) == 0) leave_range(first, last);
    return shim_back(SHIM_CALL(SYS_close_range, first, last, flags, 0, 0, 0));
}

SHIM_EXPORT void closefrom(int lowest) {
    const unsigned first = lowest > 0 ? (unsigned)lowest : 0;
    leave_range(first, ~0U);
    SHIM_NEXT(closefrom)(lowest);
}

static int duplicate_to(int fd, int to, int flags, bool plain) {
    uint64_t inode;
    if (fd != to && to >= 0 && SHIM_CALL(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) >= 0) {
        shim_forget_fds((unsigned)to, (unsigned)to);
        if (shim_maybe_device(to) && shim_is_device(to, &inode)) shim_close(to);
    }
    const long result =
        plain && fd == to ? SHIM_CALL(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) : SHIM_CALL(SYS_dup3, fd, to, flags, 0, 0, 0);
    if (result < 0) return shim_back(result);
    shim_maybe_set(to, shim_maybe_device(fd));
    return to;
}
SHIM_EXPORT int dup2(int fd, int to) {
    return duplicate_to(fd, to, 0, true);
}
SHIM_EXPORT int dup3(int fd, int to, int flags) {
    return duplicate_to(fd, to, flags, false);
}
SHIM_EXPORT int dup(int fd) {
    const int copy = (int)SHIM_CALL(SYS_dup, fd, 0, 0, 0, 0, 0);
    if (copy >= 0) shim_maybe_set(copy, shim_maybe_device(fd));
    return shim_back(copy);
}
