/* The entry points of libc that the shim stands in front of (client-traces 3). Each looks whether the virtual SoC is
 * meant, and otherwise does what libc does. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define DMA_BUF_MAGIC 0x444d4142
enum { page = 4096 };

long shim_syscall(long number, long a, long b, long c, long d, long e, long f) {
    const int saved = errno;
    const long result = syscall(number, a, b, c, d, e, f);
    if (result != -1) return result;
    const long error = -errno;
    errno = saved;
    return error;
}

static int back(long result) {
    if (result >= 0) return (int)result;
    errno = (int)-result;
    return -1;
}

/* open and its kin */

static int open_at(int directory, const char* path, int flags, mode_t mode) {
    const char* name = shim_node_name(path);
    if (name != NULL) return back(shim_open(name, flags));
    return back(SHIM_CALL(SYS_openat, directory, path, flags, mode, 0, 0));
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name, parameters, directory)                                                                              \
    EXPORT int name parameters {                                                                                       \
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
EXPORT int __open_2(const char* path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
EXPORT int __open64_2(const char* path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
EXPORT int __openat_2(int directory, const char* path, int flags) {
    return open_at(directory, path, flags, 0);
}
EXPORT int __openat64_2(int directory, const char* path, int flags) {
    return open_at(directory, path, flags, 0);
}

EXPORT int close(int fd) {
    return back(shim_close(fd));
}

/* stat and its kin; struct stat and struct stat64 are the kernel's on 64-bit machines */

static int node_status(const char* name, struct stat* status) {
    const int error = shim_lookup(name);
    if (error != 0) return -error;
    memset(status, 0, sizeof *status);
    status->st_mode = S_IFCHR | 0660;
    status->st_nlink = 1;
    status->st_rdev = makedev(10, 120);
    status->st_blksize = page;
    return 0;
}

static int stat_at(int directory, const char* path, struct stat* status, int flags) {
    const char* name = shim_node_name(path);
    if (name != NULL) return back(node_status(name, status));
    return back(SHIM_CALL(SYS_newfstatat, directory, path, status, flags, 0, 0));
}

#define STAT64(status) ((struct stat*)(void*)(status))
EXPORT int stat(const char* restrict path, struct stat* restrict status) {
    return stat_at(AT_FDCWD, path, status, 0);
}
EXPORT int stat64(const char* restrict path, struct stat64* restrict status) {
    return stat_at(AT_FDCWD, path, STAT64(status), 0);
}
EXPORT int lstat(const char* restrict path, struct stat* restrict status) {
    return stat_at(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}
EXPORT int lstat64(const char* restrict path, struct stat64* restrict status) {
    return stat_at(AT_FDCWD, path, STAT64(status), AT_SYMLINK_NOFOLLOW);
}
EXPORT int fstatat(int directory, const char* restrict path, struct stat* restrict status, int flags) {
    return stat_at(directory, path, status, flags);
}
EXPORT int fstatat64(int directory, const char* restrict path, struct stat64* restrict status, int flags) {
    return stat_at(directory, path, STAT64(status), flags);
}

/* For programs that were linked before glibc 2.33. */
int __xstat(int version, const char* path, struct stat* status);
int __xstat64(int version, const char* path, struct stat64* status);
int __lxstat(int version, const char* path, struct stat* status);
int __lxstat64(int version, const char* path, struct stat64* status);
EXPORT int __xstat(int version, const char* path, struct stat* status) {
    (void)version;
    return stat_at(AT_FDCWD, path, status, 0);
}
EXPORT int __xstat64(int version, const char* path, struct stat64* status) {
    (void)version;
    return stat_at(AT_FDCWD, path, STAT64(status), 0);
}
EXPORT int __lxstat(int version, const char* path, struct stat* status) {
    (void)version;
    return stat_at(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}
EXPORT int __lxstat64(int version, const char* path, struct stat64* status) {
    (void)version;
    return stat_at(AT_FDCWD, path, STAT64(status), AT_SYMLINK_NOFOLLOW);
}

EXPORT int statx(int directory, const char* restrict path, int flags, unsigned mask, struct statx* restrict status) {
    const char* name = shim_node_name(path);
    if (name == NULL) return back(SHIM_CALL(SYS_statx, directory, path, flags, mask, status, 0));
    struct stat plain;
    const int result = node_status(name, &plain);
    if (result != 0) return back(result);
    memset(status, 0, sizeof *status);
    status->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK;
    status->stx_mode = (uint16_t)plain.st_mode;
    status->stx_nlink = 1;
    status->stx_blksize = page;
    status->stx_rdev_major = major(plain.st_rdev);
    status->stx_rdev_minor = minor(plain.st_rdev);
    return 0;
}

static int access_at(int directory, const char* path, int mode, int flags) {
    const char* name = shim_node_name(path);
    if (name != NULL) return back(-shim_lookup(name));
    if (flags == 0) return back(SHIM_CALL(SYS_faccessat, directory, path, mode, 0, 0, 0));
    return back(SHIM_CALL(SYS_faccessat2, directory, path, mode, flags, 0, 0));
}
EXPORT int access(const char* path, int mode) {
    return access_at(AT_FDCWD, path, mode, 0);
}
EXPORT int faccessat(int directory, const char* path, int mode, int flags) {
    return access_at(directory, path, mode, flags);
}

/* dma-bufs: memfds that the server vouches for */

static int fstatfs_of(int fd, void* status) {
    if (shim_vouch(fd) == vdsp_buffer_unknown) return back(SHIM_CALL(SYS_fstatfs, fd, status, 0, 0, 0, 0));
    struct statfs* buffer = status;
    memset(buffer, 0, sizeof *buffer);
    buffer->f_type = DMA_BUF_MAGIC;
    buffer->f_bsize = page;
    buffer->f_frsize = page;
    buffer->f_namelen = 255;
    return 0;
}
EXPORT int fstatfs(int fd, struct statfs* status) {
    return fstatfs_of(fd, status);
}
EXPORT int fstatfs64(int fd, struct statfs64* status) {
    return fstatfs_of(fd, status);
}

static void* map(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    const int kind = (flags & MAP_ANONYMOUS) == 0 && fd >= 0 ? shim_vouch(fd) : vdsp_buffer_unknown;
    if (kind == vdsp_buffer_driver) { /* what the driver's own buffers refuse, KERNEL 1.10 */
        struct stat status;
        if (SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0) status.st_size = 0;
        const uint64_t pages = ((uint64_t)offset + length + page - 1) / page;
        const int error = pages > (uint64_t)status.st_size / page ? EINVAL : offset != 0 ? ENXIO : 0;
        if (error != 0) {
            errno = error;
            return MAP_FAILED;
        }
    }
    const long result = SHIM_CALL(SYS_mmap, address, length, protection, flags, fd, offset);
    if (result < 0 && result > -page) {
        errno = (int)-result;
        return MAP_FAILED;
    }
    shim_mapped((void*)result, length, kind != vdsp_buffer_unknown && offset == 0);
    return (void*)result;
}
EXPORT void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return map(address, length, protection, flags, fd, offset);
}
EXPORT void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return map(address, length, protection, flags, fd, offset);
}
EXPORT int munmap(void* address, size_t length) {
    shim_unmapped(address, length);
    return back(SHIM_CALL(SYS_munmap, address, length, 0, 0, 0, 0));
}
EXPORT int mprotect(void* address, size_t length, int protection) {
    shim_unmapped(address, length);
    return back(SHIM_CALL(SYS_mprotect, address, length, protection, 0, 0, 0));
}
EXPORT void* mremap(void* address, size_t old_length, size_t new_length, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    void* target = (flags & MREMAP_FIXED) != 0 ? va_arg(arguments, void*) : NULL;
    va_end(arguments);
    shim_unmapped(address, old_length);
    const long result = SHIM_CALL(SYS_mremap, address, old_length, new_length, flags, target, 0);
    if (result < 0 && result > -page) {
        errno = (int)-result;
        return MAP_FAILED;
    }
    shim_unmapped((void*)result, new_length);
    return (void*)result;
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    const unsigned code = (unsigned)request;
    uint64_t inode;
    if ((_IOC_TYPE(code) == 'R' || _IOC_TYPE(code) == 'H') && shim_is_device(fd, &inode))
        return shim_ioctl(fd, inode, code, argument);
    if (code == VDSP_DMA_BUF_SYNC && shim_vouch(fd) != vdsp_buffer_unknown) {
        if (!shim_readable((uint64_t)argument, sizeof(uint64_t))) return back(-EFAULT);
        uint64_t flags;
        memcpy(&flags, argument, sizeof flags);
        return back((flags & ~(uint64_t)7) != 0 || (flags & 3) == 0 ? -EINVAL : 0);
    }
    return back(SHIM_CALL(SYS_ioctl, fd, request, argument, 0, 0, 0));
}
