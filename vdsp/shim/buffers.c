/* Buffers and device memory: what maps, unmaps and controls them (KERNEL 1.10). */
#include "shim.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define DMA_BUF_MAGIC 0x444d4142
enum { page = 4096 };

/* dma-bufs: memfds that the server vouches for */

static int fstatfs_of(int fd, void* status) {
    if (shim_vouch(fd) == vdsp_buffer_unknown) return shim_back(SHIM_CALL(SYS_fstatfs, fd, status, 0, 0, 0, 0));
    struct statfs* buffer = status;
    memset(buffer, 0, sizeof *buffer);
    buffer->f_type = DMA_BUF_MAGIC;
    buffer->f_bsize = page;
    buffer->f_frsize = page;
    buffer->f_namelen = 255;
    return 0;
}
SHIM_EXPORT int fstatfs(int fd, struct statfs* status) {
    return fstatfs_of(fd, status);
}
SHIM_EXPORT int fstatfs64(int fd, struct statfs64* status) {
    return fstatfs_of(fd, status);
}

static void* map_failed(int error) {
    errno = error;
    return MAP_FAILED;
}

/* Of a device fd: only accel nodes have memory to map. */
static void* map_device(void* address, size_t length, int protection, int flags, int fd, uint64_t inode, off_t offset) {
    const int interface = shim_interface(fd, inode);
    if (interface != vdsp_interface_accel_rfc && interface != vdsp_interface_accel_v1) return map_failed(ENODEV);
    const int memory = shim_accel_map(fd, inode, (uint64_t)offset, length);
    if (memory < 0) return map_failed(-memory);
    const long result = SHIM_CALL(SYS_mmap, address, length, protection, flags, memory, 0);
    shim_close_raw(memory);
    if (result < 0 && result > -page) return map_failed((int)-result);
    shim_mapped((void*)result, length, true);
    return (void*)result;
}

static void* map(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    uint64_t inode;
    if ((flags & MAP_ANONYMOUS) == 0 && fd >= 0 && shim_is_device(fd, &inode))
        return map_device(address, length, protection, flags, fd, inode, offset);
    const int kind = (flags & MAP_ANONYMOUS) == 0 && fd >= 0 ? shim_vouch(fd) : vdsp_buffer_unknown;
    if (kind == vdsp_buffer_driver) { /* what the driver's own buffers refuse, KERNEL 1.10 */
        struct stat status;
        if (SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0) status.st_size = 0;
        const uint64_t pages = ((uint64_t)offset + length + page - 1) / page;
        const bool bad = pages > (uint64_t)status.st_size / page || (uint64_t)offset % page != 0;
        const int error = bad ? EINVAL : offset != 0 ? ENXIO : 0;
        if (error != 0) return map_failed(error);
    }
    const long result = SHIM_CALL(SYS_mmap, address, length, protection, flags, fd, offset);
    if (result < 0 && result > -page) return map_failed((int)-result);
    shim_mapped((void*)result, length, kind != vdsp_buffer_unknown && offset == 0);
    return (void*)result;
}
SHIM_EXPORT void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return map(address, length, protection, flags, fd, offset);
}
SHIM_EXPORT void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return map(address, length, protection, flags, fd, offset);
}
SHIM_EXPORT int munmap(void* address, size_t length) {
    shim_unmapped(address, length);
    return shim_back(SHIM_CALL(SYS_munmap, address, length, 0, 0, 0, 0));
}
SHIM_EXPORT int mprotect(void* address, size_t length, int protection) {
    shim_remapped(address, length);
    return shim_back(SHIM_CALL(SYS_mprotect, address, length, protection, 0, 0, 0));
}
SHIM_EXPORT void* mremap(void* address, size_t old_length, size_t new_length, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    void* target = (flags & MREMAP_FIXED) != 0 ? va_arg(arguments, void*) : NULL;
    va_end(arguments);
    shim_remapped(address, old_length);
    const long result = SHIM_CALL(SYS_mremap, address, old_length, new_length, flags, target, 0);
    if (result < 0 && result > -page) return map_failed((int)-result);
    shim_remapped((void*)result, new_length);
    return (void*)result;
}

/* What the VFS answers for any file, before a driver is asked. */
static bool of_the_vfs(unsigned code) {
    return code == FIOCLEX || code == FIONCLEX || code == FIONBIO || code == FIOASYNC;
}

SHIM_EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    const unsigned code = (unsigned)request;
    const unsigned type = _IOC_TYPE(code);
    uint64_t inode;
    if ((type == 'R' || type == 'H' || type == 'd' || (shim_maybe_device(fd) && !of_the_vfs(code))) &&
        shim_is_device(fd, &inode))
        return shim_ioctl(fd, inode, code, argument);
    if (code == VDSP_DMA_BUF_SYNC && shim_vouch(fd) != vdsp_buffer_unknown) {
        if (!shim_readable((uint64_t)argument, sizeof(uint64_t))) return shim_back(-EFAULT);
        uint64_t flags;
        memcpy(&flags, argument, sizeof flags);
        return shim_back((flags & ~(uint64_t)7) != 0 || (flags & 3) == 0 ? -EINVAL : 0);
    }
    return shim_back(SHIM_CALL(SYS_ioctl, fd, request, argument, 0, 0, 0));
}
