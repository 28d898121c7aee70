/* The ioctl of a virtual device: which driver's it is, and its restart after a signal. */
#include "shim.h"

#include <errno.h>
#include <sys/ioctl.h>

static int once(int device, uint64_t inode, unsigned code, void* argument) {
    const int interface = shim_interface(device, inode);
    if (interface < 0) return shim_failed(_IOC_TYPE(code) == 'd' && interface == -EPIPE ? ENODEV : -interface);
    if (interface == vdsp_interface_accel_rfc || interface == vdsp_interface_accel_v1)
        return shim_accel_ioctl(device, inode, interface, code, argument);
    if (code == VDSP_INVOKE && interface == vdsp_interface_misc) return shim_invoke(device, inode, interface, argument);
    return shim_misc_ioctl(device, inode, code, argument);
}

int shim_ioctl(int device, uint64_t inode, unsigned code, void* argument) {
    const int saved = errno;
    int result;
    do { /* as the kernel restarts a system call: from its beginning */
        errno = saved;
        result = once(device, inode, code, argument);
    } while (result == -1 && errno == ERESTART);
    return result;
}
