/* How the shim reaches the system: raw calls, and the libc behind it. */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Programs that choose fds themselves take low ones; a limit of 1024 leaves room for as many channels. */
static const int own_fds[] = {512, 200};

long shim_syscall(long number, long a, long b, long c, long d, long e, long f) {
    const int saved = errno;
    const long result = syscall(number, a, b, c, d, e, f);
    if (result != -1) return result;
    const long error = -errno;
    errno = saved;
    return error;
}

int shim_failed(int error) {
    errno = error;
    return -1;
}

int shim_back(long result) {
    if (result >= 0) return (int)result;
    errno = (int)-result;
    return -1;
}

void* shim_next(const char* name, _Atomic(void*)* found) {
    void* function = atomic_load_explicit(found, memory_order_relaxed);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, name);
        if (function == NULL) abort(); /* we define nothing that libc does not */
        atomic_store_explicit(found, function, memory_order_relaxed);
    }
    return function;
}

void shim_close_raw(int fd) {
    SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Without a question to the file system, which may never answer (FUSE) where the program itself asks it nothing. */
bool shim_inode(int fd, uint64_t* inode, mode_t type) {
    struct statx status;
    if (SHIM_CALL(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status, 0) != 0 ||
        (status.stx_mode & S_IFMT) != type)
        return false;
    *inode = status.stx_ino;
    return true;
}

int shim_high_fd(int fd) {
    for (size_t i = 0; i < sizeof own_fds / sizeof *own_fds; ++i) {
        const int high = (int)SHIM_CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, own_fds[i], 0, 0, 0);
        if (high < 0) continue;
        shim_close_raw(fd);
        return high;
    }
    return fd;
}
