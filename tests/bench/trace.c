/* Traces a program of the system while a bench looks: a preload library that notes when the few system calls on the way
 * of a call begin and return. So the programs that are looked at are those that run elsewhere too, to the byte.
 *
 * Each noted call costs two readings of the clock and 40 bytes of a table that all programs share. */
#include "tests/bench/trace_events.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct bench_trace_table* table;
static uint32_t process;
static __thread uint32_t thread;

static ssize_t (*next_sendmsg)(int, const struct msghdr*, int);
static ssize_t (*next_recvmsg)(int, struct msghdr*, int);
static ssize_t (*next_read)(int, void*, size_t);
static ssize_t (*next_write)(int, const void*, size_t);
static int (*next_connect)(int, const struct sockaddr*, socklen_t);
static int (*next_ioctl)(int, unsigned long, ...);
static long (*next_syscall)(long, ...);

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void note(uint32_t kind, uint64_t begin, uint32_t detail) {
    const uint64_t end = now();
    if (table == NULL) return;
    if (thread == 0) thread = (uint32_t)next_syscall(SYS_gettid);
    const uint64_t at = __atomic_fetch_add(&table->used, 1, __ATOMIC_RELAXED);
    if (at < table->room) table->events[at] = (struct bench_trace_event){begin, end, process, thread, kind, detail};
}

/* Other libraries' constructors may call us before ours ran. */
static void find_next(void) {
    if (next_syscall != NULL) return;
    *(void**)&next_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    *(void**)&next_recvmsg = dlsym(RTLD_NEXT, "recvmsg");
    *(void**)&next_read = dlsym(RTLD_NEXT, "read");
    *(void**)&next_write = dlsym(RTLD_NEXT, "write");
    *(void**)&next_connect = dlsym(RTLD_NEXT, "connect");
    *(void**)&next_ioctl = dlsym(RTLD_NEXT, "ioctl");
    *(void**)&next_syscall = dlsym(RTLD_NEXT, "syscall");
}

__attribute__((constructor)) static void begin_trace(void) {
    find_next();
    const uint64_t start = now();
    const char* path = getenv(BENCH_TRACE_FILE);
    struct stat status;
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &status) == 0) {
        void* mapped = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        process = (uint32_t)getpid();
        if (mapped != MAP_FAILED) table = mapped;
    }
    close(fd);
    note(bench_trace_start, start, 0);
}

EXPORT void bench_trace_set_mark(uint32_t number);
EXPORT void bench_trace_set_mark(uint32_t number) {
    note(bench_trace_mark, now(), number);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
    find_next();
    const uint64_t begin = now();
    const ssize_t done = next_sendmsg(fd, message, flags);
    note(bench_trace_send, begin, (uint32_t)done);
    return done;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
    find_next();
    const uint64_t begin = now();
    const ssize_t done = next_recvmsg(fd, message, flags);
    note(bench_trace_receive, begin, (uint32_t)done);
    return done;
}

EXPORT ssize_t read(int fd, void* memory, size_t size) {
    find_next();
    const uint64_t begin = now();
    const ssize_t done = next_read(fd, memory, size);
    note(bench_trace_read, begin, (uint32_t)done);
    return done;
}

EXPORT ssize_t write(int fd, const void* memory, size_t size) {
    find_next();
    const uint64_t begin = now();
    const ssize_t done = next_write(fd, memory, size);
    note(bench_trace_write, begin, (uint32_t)done);
    return done;
}

EXPORT int connect(int fd, const struct sockaddr* address, socklen_t size) {
    find_next();
    const uint64_t begin = now();
    const int done = next_connect(fd, address, size);
    note(bench_trace_connect, begin, (uint32_t)done);
    return done;
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    find_next();
    const uint64_t begin = now();
    const int done = next_ioctl(fd, request, argument);
    note(bench_trace_ioctl, begin, (uint32_t)request);
    return done;
}

EXPORT long syscall(long number, ...) {
    va_list arguments;
    va_start(arguments, number);
    long words[6];
    for (int i = 0; i < 6; ++i) words[i] = va_arg(arguments, long);
    va_end(arguments);
    find_next();
    const uint64_t begin = now();
    const long done = next_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    if (number == SYS_futex) {
        const int operation = (int)words[1] & FUTEX_CMD_MASK;
        if (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) note(bench_trace_wait, begin, (uint32_t)done);
        if (operation == FUTEX_WAKE || operation == FUTEX_WAKE_BITSET) note(bench_trace_wake, begin, (uint32_t)done);
    }
    return done;
}
