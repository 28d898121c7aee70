/* Which mapping of the program an address lies in, or comes next after it: the driver counts from its start
 * (KERNEL 1.11.5).
 *
 * A fresh mapping of a buffer from its offset 0 is one mapping of the kernel's for sure, until something touches its
 * range; those are kept in a table. For any other address the kernel is asked.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { table_size = 1024, page = 4096, seen_pages = 16, unlikely_word = 0x5eedf00d };

struct range {
    uint64_t start;
    uint64_t end;
    bool whole; /* a whole buffer, from its offset 0 on: nothing can be joined to its beginning */
};
static struct range table[table_size];
static _Atomic unsigned used;
/* Pages that could be read, until the program changes its mappings. One that libc took away meanwhile, a freed block
 * for example, ends the program instead of the call. */
static _Atomic unsigned changes;
static __thread uint64_t seen[seen_pages] __attribute__((tls_model("initial-exec")));
static __thread unsigned seen_at __attribute__((tls_model("initial-exec")));
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fork_prepare(void) {
    pthread_mutex_lock(&lock);
}
static void fork_done(void) {
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void set_up(void) {
    pthread_atfork(fork_prepare, fork_done, fork_done);
}

static void remember(uint64_t start, uint64_t end, bool whole) {
    pthread_mutex_lock(&lock);
    if (used < table_size) table[used++] = (struct range){.start = start, .end = end, .whole = whole};
    pthread_mutex_unlock(&lock);
}

void shim_remapped(const void* address, size_t length) {
    atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
    if (atomic_load_explicit(&used, memory_order_relaxed) == 0) return;
    const uint64_t start = (uint64_t)address;
    const uint64_t end = start + length;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < used;) { /* neighbours too: a change of protection can join mappings */
        const uint64_t near = table[i].whole ? 0 : 1;
        if (table[i].start < end + near && table[i].end + near > start)
            table[i] = table[--used];
        else
            ++i;
    }
    pthread_mutex_unlock(&lock);
}

/* Its neighbours stay what they are, and must stay known: who is confined can't ask the kernel any more. */
void shim_unmapped(const void* address, size_t length) {
    shim_remapped((const char*)address + 1, length > 2 ? length - 2 : 0);
}

void shim_mapped(void* address, size_t length, bool whole_buffer) {
    const uint64_t start = (uint64_t)address;
    shim_unmapped(address, length);
    if (whole_buffer) remember(start, start + ((length + page - 1) & ~(size_t)(page - 1)), true);
}

/* Reads /proc/self/maps: "start-end perms offset ..." per line. */
static uint64_t ask_kernel(uint64_t address) {
    char buffer[4096];
    uint64_t number = 0;
    uint64_t start = 0;
    enum { in_start, in_end, in_rest } at = in_start;
    long got;
    const int fd = (int)SHIM_CALL(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0) { /* a guess would put the call's bytes into other memory */
        static const char why[] = "fastrpc-vdsp: a confined program maps what was not mapped as a whole before\n";
        SHIM_CALL(SYS_write, STDERR_FILENO, why, sizeof why - 1, 0, 0, 0);
        abort();
    }
    uint64_t result = VDSP_NO_VMA;
    while (result == VDSP_NO_VMA && (got = SHIM_CALL(SYS_read, fd, buffer, sizeof buffer, 0, 0, 0)) > 0) {
        for (long i = 0; i < got && result == VDSP_NO_VMA; ++i) {
            const char c = buffer[i];
            if (c == '\n') {
                at = in_start;
                number = 0;
            } else if (at == in_start && c == '-') {
                start = number;
                number = 0;
                at = in_end;
            } else if (at == in_end && c == ' ') {
                at = in_rest;
                if (address < number && (int64_t)start >= 0) { /* the kernel's own page at the end is no mapping */
                    result = start;
                    if (address >= start) remember(start, number, false);
                }
            } else if (at != in_rest) {
                number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
            }
        }
    }
    SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
    return result;
}

uint64_t shim_vma_start(uint64_t address) {
    uint64_t result = VDSP_NO_VMA;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < used && result == VDSP_NO_VMA; ++i)
        if (address >= table[i].start && address < table[i].end) result = table[i].start;
    pthread_mutex_unlock(&lock);
    return result != VDSP_NO_VMA ? result : ask_kernel(address);
}

bool shim_readable(uint64_t address, size_t length) {
    const uint64_t here = (uint64_t)__builtin_frame_address(0) / page;
    const unsigned now = atomic_load_explicit(&changes, memory_order_relaxed);
    const struct timespec at_once = {0};
    if (length == 0) return true;
    if (address + length < address) return false;
    if (seen_at != now) memset(seen, 0, sizeof seen);
    seen_at = now;
    for (uint64_t number = address / page; number <= (address + length - 1) / page; ++number) {
        if (number == here || number == here + 1) continue; /* our own stack frame, and most likely our caller's */
        uint64_t* slot = &seen[number % seen_pages];
        if (*slot == number + 1) continue;
        /* The kernel reads the word and finds something else (EAGAIN), or nothing to read (EFAULT). */
        const uint64_t word = number == address / page ? address & ~(uint64_t)3 : number * page;
        if (SHIM_CALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, unlikely_word, &at_once, 0, 0) == -EFAULT) return false;
        *slot = number + 1;
    }
    return true;
}

bool shim_writable(uint64_t address, size_t length) {
    static uint32_t nobody;
    if (address + length < address) return false;
    for (uint64_t number = address / page; number <= (address + length - 1) / page; ++number) {
        /* The kernel adds nothing to the word, which takes the right to write. */
        const uint64_t word = number == address / page ? address & ~(uint64_t)3 : number * page;
        if (SHIM_CALL(SYS_futex, &nobody, FUTEX_WAKE_OP, 0, 0, word, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) ==
            -EFAULT)
            return false;
    }
    return true;
}
