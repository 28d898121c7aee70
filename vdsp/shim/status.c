/* What asks about paths and files without opening them: stat, access, readlink, realpath, inotify and their kin. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { page = 4096, misc_major = 10, heap_major = 248, accel_major = 261, some_minor = 120 };

static dev_t number_of(const char* name) {
    if (strncmp(name, "accel/accel", 11) == 0) return makedev(accel_major, (unsigned)strtoul(name + 11, NULL, 10));
    return strncmp(name, "dma_heap/", 9) == 0 ? makedev(heap_major, 0) : makedev(misc_major, some_minor);
}

static void look_like_node(dev_t number, struct stat* status) {
    status->st_mode = S_IFCHR | 0660;
    status->st_nlink = 1;
    status->st_rdev = number;
    status->st_blksize = page;
    status->st_size = 0;
    status->st_blocks = 0;
}

/* Whoever may connect to the server may open its nodes: they belong to those whom its socket belongs to. */
static int node_status(const char* name, struct stat* status) {
    const int error = shim_lookup(name);
    if (error != 0) return -error;
    struct stat socket;
    memset(status, 0, sizeof *status);
    if (SHIM_CALL(SYS_newfstatat, AT_FDCWD, shim_server_path(), &socket, 0, 0, 0) == 0) {
        status->st_uid = socket.st_uid;
        status->st_gid = socket.st_gid;
    }
    look_like_node(number_of(name), status);
    return 0;
}

static int file_status(int fd, struct stat* status) {
    uint64_t inode;
    const int result = (int)SHIM_CALL(SYS_fstat, fd, status, 0, 0, 0, 0);
    if (result == 0 && S_ISSOCK(status->st_mode) && shim_is_device(fd, &inode))
        look_like_node(makedev(misc_major, some_minor), status);
    return result;
}

static int stat_at(int directory, const char* path, struct stat* status, int flags) {
    struct shim_where where;
    if ((flags & AT_EMPTY_PATH) != 0 && directory >= 0 && (path == NULL || path[0] == '\0'))
        return shim_back(file_status(directory, status));
    switch (shim_locate(directory, path, &where)) {
    case shim_node:
        return shim_back(node_status(where.text, status));
    case shim_no_path:
        return shim_back(-ENAMETOOLONG);
    case shim_inside:
    case shim_elsewhere:
        break;
    }
    return shim_back(SHIM_CALL(SYS_newfstatat, directory, where.path, status, flags, 0, 0));
}

/* struct stat and struct stat64 are the kernel's on 64-bit machines. */
#define STAT64(status) ((struct stat*)(void*)(status))
SHIM_EXPORT int stat(const char* restrict path, struct stat* restrict status) {
    return stat_at(AT_FDCWD, path, status, 0);
}
SHIM_EXPORT int stat64(const char* restrict path, struct stat64* restrict status) {
    return stat_at(AT_FDCWD, path, STAT64(status), 0);
}
SHIM_EXPORT int lstat(const char* restrict path, struct stat* restrict status) {
    return stat_at(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}
SHIM_EXPORT int lstat64(const char* restrict path, struct stat64* restrict status) {
    return stat_at(AT_FDCWD, path, STAT64(status), AT_SYMLINK_NOFOLLOW);
}
SHIM_EXPORT int fstatat(int directory, const char* restrict path, struct stat* restrict status, int flags) {
    return stat_at(directory, path, status, flags);
}
SHIM_EXPORT int fstatat64(int directory, const char* restrict path, struct stat64* restrict status, int flags) {
    return stat_at(directory, path, STAT64(status), flags);
}
SHIM_EXPORT int fstat(int fd, struct stat* status) {
    return shim_back(file_status(fd, status));
}
SHIM_EXPORT int fstat64(int fd, struct stat64* status) {
    return shim_back(file_status(fd, STAT64(status)));
}

/* For programs that were linked before glibc 2.33. */
#define XSTAT(name, type, flags)                                                                                       \
    int name(int version, const char* path, struct type* status);                                                      \
    SHIM_EXPORT int name(int version, const char* path, struct type* status) {                                         \
        (void)version;                                                                                                 \
        return stat_at(AT_FDCWD, path, STAT64(status), flags);                                                         \
    }
XSTAT(__xstat, stat, 0)
XSTAT(__xstat64, stat64, 0)
XSTAT(__lxstat, stat, AT_SYMLINK_NOFOLLOW)
XSTAT(__lxstat64, stat64, AT_SYMLINK_NOFOLLOW)
#define FXSTAT(suffix, type)                                                                                           \
    int __fxstat##suffix(int version, int fd, struct type* status);                                                    \
    SHIM_EXPORT int __fxstat##suffix(int version, int fd, struct type* status) {                                       \
        (void)version;                                                                                                 \
        return shim_back(file_status(fd, STAT64(status)));                                                             \
    }                                                                                                                  \
    int __fxstatat##suffix(int version, int directory, const char* path, struct type* status, int flags);              \
    SHIM_EXPORT int __fxstatat##suffix(int version, int directory, const char* path, struct type* status, int flags) { \
        (void)version;                                                                                                 \
        return stat_at(directory, path, STAT64(status), flags);                                                        \
    }
FXSTAT(, stat)
FXSTAT(64, stat64)

SHIM_EXPORT int statx(int directory, const char* restrict path, int flags, unsigned mask,
                      struct statx* restrict status) {
    struct shim_where where;
    struct stat plain;
    uint64_t inode;
    int result;
    const enum shim_place place = shim_locate(directory, path, &where);
    if (place == shim_node)
        result = node_status(where.text, &plain);
    else if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0' && shim_is_device(directory, &inode))
        result = file_status(directory, &plain);
    else if (place == shim_no_path)
        result = -ENAMETOOLONG;
    else
        return shim_back(SHIM_CALL(SYS_statx, directory, where.path, flags, mask, status, 0));
    if (result != 0) return shim_back(result);
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
    struct shim_where where;
    const enum shim_place place = shim_locate(directory, path, &where);
    if (place == shim_node) return shim_back(-shim_lookup(where.text));
    if (place == shim_no_path) return shim_back(-ENAMETOOLONG);
    if (flags == 0) return shim_back(SHIM_CALL(SYS_faccessat, directory, where.path, mode, 0, 0, 0));
    return shim_back(SHIM_CALL(SYS_faccessat2, directory, where.path, mode, flags, 0, 0));
}
SHIM_EXPORT int access(const char* path, int mode) {
    return access_at(AT_FDCWD, path, mode, 0);
}
SHIM_EXPORT int euidaccess(const char* path, int mode) {
    return access_at(AT_FDCWD, path, mode, AT_EACCESS);
}
SHIM_EXPORT int eaccess(const char* path, int mode) {
    return access_at(AT_FDCWD, path, mode, AT_EACCESS);
}
SHIM_EXPORT int faccessat(int directory, const char* path, int mode, int flags) {
    return access_at(directory, path, mode, flags);
}

static ssize_t read_link(int directory, const char* path, char* buffer, size_t size) {
    struct shim_where where;
    const enum shim_place place = shim_locate(directory, path, &where);
    long result;
    if (place == shim_no_path) {
        result = -ENAMETOOLONG;
    } else if (place == shim_node) {
        const int error = shim_lookup(where.text);
        result = error != 0 ? -error : -EINVAL; /* no link */
    } else {
        result = SHIM_CALL(SYS_readlinkat, directory, where.path, buffer, size, 0, 0);
    }
    if (result >= 0) return result;
    errno = (int)-result;
    return -1;
}
SHIM_EXPORT ssize_t readlink(const char* restrict path, char* restrict buffer, size_t size) {
    return read_link(AT_FDCWD, path, buffer, size);
}
SHIM_EXPORT ssize_t readlinkat(int directory, const char* restrict path, char* restrict buffer, size_t size) {
    return read_link(directory, path, buffer, size);
}
ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room);
SHIM_EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room) {
    if (size > room) abort();
    return read_link(AT_FDCWD, path, buffer, size);
}
ssize_t __readlinkat_chk(int directory, const char* path, char* buffer, size_t size, size_t room);
SHIM_EXPORT ssize_t __readlinkat_chk(int directory, const char* path, char* buffer, size_t size, size_t room) {
    if (size > room) abort();
    return read_link(directory, path, buffer, size);
}

/* Of a node: its own path, for there are no links to it. */
static char* node_path(const char* name, char* resolved) {
    const int error = shim_lookup(name);
    if (error != 0) {
        errno = error;
        return NULL;
    }
    char* path = resolved != NULL ? resolved : malloc(strlen(name) + 6);
    if (path == NULL) return NULL;
    memcpy(path, "/dev/", 5);
    strcpy(path + 5, name);
    return path;
}

SHIM_EXPORT char* realpath(const char* restrict path, char* restrict resolved) {
    struct shim_where where;
    const enum shim_place place = shim_locate(AT_FDCWD, path, &where);
    if (place == shim_node) return node_path(where.text, resolved);
    char* real = SHIM_NEXT(realpath)(where.path, resolved);
    if (real != NULL && place == shim_inside) shim_unlead(real);
    return real;
}
char* __realpath_chk(const char* path, char* resolved, size_t room);
SHIM_EXPORT char* __realpath_chk(const char* path, char* resolved, size_t room) {
    if (room < PATH_MAX) abort();
    return realpath(path, resolved);
}
SHIM_EXPORT char* canonicalize_file_name(const char* path) {
    return realpath(path, NULL);
}

SHIM_EXPORT int inotify_add_watch(int fd, const char* path, uint32_t mask) {
    struct shim_where where;
    enum shim_place place = shim_locate(AT_FDCWD, path, &where);
    if (place == shim_elsewhere && shim_is_dev(path)) {
        shim_lead("/dev", &where);
        const long result = SHIM_CALL(SYS_inotify_add_watch, fd, where.path, mask, 0, 0, 0);
        if (where.place == shim_inside && result != -ENOENT) return shim_back(result);
        where.path = path; /* no server has been here yet: at least there is a /dev */
    }
    if (place == shim_no_path) return shim_back(-ENAMETOOLONG);
    if (place == shim_node) { /* its file in the directory lives as long as the node */
        char inside[sizeof where.text + 5] = "/dev/";
        strcat(inside, where.text);
        shim_lead(inside, &where);
    }
    return shim_back(SHIM_CALL(SYS_inotify_add_watch, fd, where.path, mask, 0, 0, 0));
}
